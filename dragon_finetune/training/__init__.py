"""Training on SentenceTransformerTrainer: pairs in, a complete model folder out."""
