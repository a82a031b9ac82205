"""A codex's own text in; training pairs out."""
