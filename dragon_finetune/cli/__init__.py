"""A command line in; one call of the library, its result printed, and an exit code out."""
