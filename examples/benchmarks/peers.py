"""Other people's ways to embed with the same model on the CPU, as bench_embedding.py puts them beside ours.

    pip install fastembed infinity-emb "dragon-finetune[export]"

Each opens the model its own way and returns what makes vectors of unit length: fastembed (onnxruntime) from the ONNX
folder that `export` writes, infinity-emb from the folder itself (torch, its own batching by length), llama.cpp (through
xllamacpp) from GGUF files. What is not installed is left out of the table, by name. All use their defaults and all
cores, but for what a fair run needs: llama.cpp refuses a text over the limit, so it is given texts that were cut
before, and room for as many texts in a batch as fit its 2,048 tokens.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from dragon_finetune.embedding.unit import unit
from dragon_finetune.export.exporting import export

Embed = Callable[[Sequence[str]], np.ndarray]
_LLAMA_TOKENS = 2048  # its own default of n_batch


def peers(model: Path, work: Path, limit: int) -> Iterator[tuple[str, Embed]]:
    """Yield the name and the embedding of each that is installed; tell of the others."""
    openers: dict[str, Callable[[], Embed]] = {
        "fastembed": lambda: fastembed(model, work, limit),
        "infinity-emb": lambda: infinity(model),
        "llama.cpp f16": lambda: llama(model, work, "f16", limit),
        "llama.cpp q8_0": lambda: llama(model, work, "q8_0", limit),
    }
    for name, opened in openers.items():
        try:
            yield name, opened()
        except ImportError as error:
            print(f"{name} is left out: {error}")


def fastembed(model: Path, work: Path, limit: int) -> Embed:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    folder = work / "onnx"
    export(model, "onnx", folder)
    TextEmbedding.add_custom_model(
        model="ours",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="none"),
        dim=384,
        model_file="model.onnx",
    )
    embedder = TextEmbedding("ours", specific_model_path=str(folder))
    embedder.model.tokenizer.enable_truncation(limit)
    return lambda texts: np.array(list(embedder.embed(texts)), dtype=np.float32)


def infinity(model: Path) -> Embed:
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    logging.disable(logging.WARNING)  # it sets up everybody's logging, and tells of each batch
    settings = EngineArgs(
        model_name_or_path=str(model), engine="torch", device="cpu", bettertransformer=False, model_warmup=False
    )

    engine, loop = AsyncEmbeddingEngine.from_args(settings), asyncio.new_event_loop()
    loop.run_until_complete(engine.astart())

    def embed(texts: Sequence[str]) -> np.ndarray:
        vectors, _ = loop.run_until_complete(engine.embed(sentences=list(texts)))
        return np.array(vectors, dtype=np.float32)

    return embed


def llama(model: Path, work: Path, dtype: str, limit: int) -> Embed:
    import xllamacpp

    folder = work / dtype
    export(model, "gguf", folder, dtype=dtype)
    settings: Any = xllamacpp.CommonParams()
    settings.model.path = str(next(folder.glob("*.gguf")))
    settings.embedding, settings.verbosity = True, -1
    settings.n_parallel = _LLAMA_TOKENS // limit
    settings.n_ctx = settings.n_batch = settings.n_ubatch = _LLAMA_TOKENS
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = os.cpu_count() or 1
    server, tokenizer = xllamacpp.Server(settings), Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)

    def embed(texts: Sequence[str]) -> np.ndarray:
        cut = [
            text[: max(end for _, end in each.offsets)]
            for text, each in zip(texts, tokenizer.encode_batch(list(texts)), strict=True)
        ]
        answer = server.handle_embeddings({"input": cut})
        return unit(np.array([each["embedding"] for each in answer["data"]], dtype=np.float32))

    return embed
