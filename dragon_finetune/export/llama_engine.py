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

    A text that llama.cpp refuses, because it splits it into more tokens than the limit, has a vector of zeros. While it
    runs, llama.cpp listens on a free port of 127.0.0.1.

    Args:
        folder: what `write_gguf` wrote.
        texts: prompts included, none over the limit.
        limit: in tokens, special ones included: such a model needs a text whole in one batch.

    Raises:
        ModelError: llama.cpp can't load the file, or takes none of the texts.
    """
    import xllamacpp

    (file,) = folder.glob("*.gguf")
    try:
        server = xllamacpp.Server(_settings(xllamacpp.CommonParams(), file, limit))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{file}: llama.cpp can't load it ({error}). Export the model again.") from error
    answers = [server.handle_embeddings({"input": [text]}) for text in texts]
    found = [answer["data"][0]["embedding"] if "data" in answer else None for answer in answers]
    dimension = next((len(each) for each in found if each), None)
    if dimension is None:
        raise ModelError(f"{file}: llama.cpp takes no text ({answers[0].get('error')}). Export the model again.")
    return np.array([each or [0.0] * dimension for each in found], dtype=np.float32)


def _settings(settings: Any, file: Path, limit: int) -> Any:
    settings.model.path = str(file)
    settings.embedding = True
    settings.n_ctx = settings.n_batch = settings.n_ubatch = limit
    settings.n_parallel = 1
    settings.warmup = settings.fit_params = False
    settings.verbosity = _QUIET
    # Its threads wait by spinning, which two of one core make slow.
    threads = max(1, (os.cpu_count() or 1) // 2)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    return settings
