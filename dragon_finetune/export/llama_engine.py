"""A GGUF file run by llama.cpp, through the package xllamacpp."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import ModelError

_QUIET = -1


def embed_by_llama(folder: Path, texts: Sequence[str], limit: int) -> Vectors:
    """Return llama.cpp's vectors, (texts, dimension), of texts by the one GGUF file in a folder.

    While it runs, llama.cpp listens on a free port of 127.0.0.1.

    Args:
        folder: what `write_gguf` wrote.
        texts: prompts included, none over the limit.
        limit: in tokens, special ones included: such a model needs a text whole in one batch.

    Raises:
        ModelError: llama.cpp can't load the file, or refuses a text.
    """
    import xllamacpp

    (file,) = folder.glob("*.gguf")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.embedding = True
    settings.n_ctx = settings.n_batch = settings.n_ubatch = limit
    settings.n_parallel = 1
    settings.warmup = settings.fit_params = False
    settings.verbosity = _QUIET
    # Its threads wait by spinning, which two of one core make slow.
    threads = max(1, (os.cpu_count() or 1) // 2)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    try:
        answer: Any = xllamacpp.Server(settings).handle_embeddings({"input": list(texts)})
        found = sorted(answer["data"], key=lambda each: each["index"])
    except (RuntimeError, KeyError, TypeError) as error:
        said = answer.get("error") if isinstance(error, KeyError) else error
        raise ModelError(f"llama.cpp can't run the export: {said}. Nothing is left of it.") from error
    return np.array([each["embedding"] for each in found], dtype=np.float32)
