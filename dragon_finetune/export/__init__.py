"""A model in other engines' formats: each export is proved by the engine that is to run it."""
