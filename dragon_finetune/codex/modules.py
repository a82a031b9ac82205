"""Where each generation of Dragon's Codex keeps what is replaced."""

# Where each generation keeps what is replaced (HOST_CONTRACT 0), also for hosts started inside `src`.
PACKAGES = ("src.utils.", "utils.")
EMBEDDING_A = "util_embedding"
CHUNKING_A = "util_chunking_functions"
EMBEDDING_B = "embedding.embedding_factory"
CHUNKING_B = "chunking.chunking_strategies"
CONFIG = ("config", "util_config", "config.config")
OURS = ("base", "finetuned")
OPTIONS = ("EMBEDDER", "CHUNKER", "BASE_", "FINETUNED_")
