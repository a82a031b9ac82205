"""Exact token counts, the truncation audit, and chunks that never exceed a token limit."""
