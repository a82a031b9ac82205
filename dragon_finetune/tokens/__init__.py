"""Texts and a model's tokenizer in; exact counts, the truncation audit, chunks within a limit, and batches out."""
