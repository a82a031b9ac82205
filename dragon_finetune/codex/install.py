"""Puts our embedder and chunker in the place of a host's own, as soon as its modules are imported."""

from dragon_finetune.codex.generation_a import replace_chunking_a, replace_embedding_a
from dragon_finetune.codex.generation_b import replace_chunking_b, replace_embedding_b
from dragon_finetune.codex.made import lock, made
from dragon_finetune.codex.modules import CHUNKING_A, CHUNKING_B, EMBEDDING_A, EMBEDDING_B, PACKAGES


def install() -> None:
    """Exchange the host's functions as soon as their modules are imported, or now if they are. Twice does no harm."""
    from wrapt.importer import register_post_import_hook

    with lock:
        if made.setdefault("installed", False):
            return
        made["installed"] = True
    for package in PACKAGES:
        register_post_import_hook(replace_embedding_a, package + EMBEDDING_A)
        register_post_import_hook(replace_embedding_b, package + EMBEDDING_B)
        register_post_import_hook(replace_chunking_a, package + CHUNKING_A)
        register_post_import_hook(replace_chunking_b, package + CHUNKING_B)
