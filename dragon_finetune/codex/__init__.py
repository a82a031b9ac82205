"""A Dragon's Codex without a plugin manager in; its scripts run with our embedder and chunker out."""
