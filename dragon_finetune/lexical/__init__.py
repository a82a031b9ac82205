"""Words in the vector: what a corpus says of them, their sketch, and how it is joined to a dense vector."""
