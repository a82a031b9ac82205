"""A converted model quantised to 8 bits after training, by the texts that it is to embed."""

import hashlib
import io
import itertools
import json
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.cache import PLACE
from dragon_finetune.embedding.conversion import CONVERTED, written_whole
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.instruction_sets import instruction_set
from dragon_finetune.embedding.int8 import Int8, Parts, int8_folder, read_int8
from dragon_finetune.embedding.openvino_engine import OpenVinoEngine
from dragon_finetune.embedding.openvino_import import load_nncf, load_openvino
from dragon_finetune.errors import DataError, ModelError
from dragon_finetune.progress import progress

_TEXTS = 200
"""Texts to calibrate on, at most; NNCF's own default is 300 (`nncf.quantize`, subset_size)."""

_BATCH, _ROUNDS = 8, 9
_ATTENTION = r"(?i).*(attention|attn).*"  # in the names of BERT's kin, ModernBERT's and Nomic's


def quantise(model: str | Path, texts: Sequence[str], *, parts: Parts = "all", seed: int = 0) -> Int8:
    """Return an int8 form of a model, made by static quantisation (NNCF, preset for transformers), in the cache.

    Softmax, layer norms and pooling stay in floating point, as the preset has it. The same again is not made twice. The
    form is not in use before `Int8.put_in_use`.

    Args:
        model: a folder, a hub name, or "embedded".
        texts: those that are to be embedded; of many, 200 are drawn.
        parts: "all" products with weights, or those of the "feed-forward" layers only: attention stays in floating
            point. That finds more and is slower.
        seed: of the draw.

    Raises:
        DataError: no texts.
        ModelError: the model can't be converted, or the cache not written.
        MissingExtraError: NNCF is not installed.
    """
    if not texts:
        raise DataError("no texts to calibrate on. Give the chunks that are to be embedded.")
    embedder = FineTunedEmbedder(model, engine="openvino", precision="fp32", device="cpu", on_overflow="truncate")
    nncf, instructions = load_nncf(), instruction_set()
    chosen = random.Random(seed).sample(sorted({*texts}), min(_TEXTS, len({*texts})))
    how = [instructions, parts, nncf.__version__, load_openvino().__version__]
    calibration = hashlib.blake2b(json.dumps([chosen, how]).encode(), digest_size=8).hexdigest()
    place = int8_folder(embedder.folder) / calibration
    assert embedder.engine  # opened: converted, if nobody had
    converted = place.parents[1] / CONVERTED
    try:
        made = read_int8(place)
        if made is None:
            started = time.perf_counter()
            written_whole(place, lambda draft: _write(embedder, converted, chosen, parts, draft))
            seconds = time.perf_counter() - started
            made = Int8(place, calibration, len(chosen), seconds, _speed(embedder, place, chosen), instructions, parts)
            made.save()
    except OSError as error:
        raise ModelError(
            f"the int8 model can't be kept in {place} ({error}). Set {PLACE} to a folder that can be written."
        ) from error
    return made


def _speed(embedder: FineTunedEmbedder, place: Path, texts: Sequence[str]) -> float:
    """Return how many times as fast as fp32 an int8 form is: medians of batches that take turns."""
    engines = (embedder.engine, OpenVinoEngine(place, "int8").open())
    batches = [list(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)][:_ROUNDS]
    seconds: tuple[list[float], list[float]] = ([], [])
    for batch, (engine, taken) in itertools.product(batches, zip(engines, seconds, strict=True)):
        engine.embed(batch, "", None)  # kernels are built at the first sight of a shape
        started = time.perf_counter()
        engine.embed(batch, "", None)
        taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]) / statistics.median(seconds[1])


def _write(embedder: FineTunedEmbedder, converted: Path, texts: Sequence[str], parts: Parts, folder: Path) -> None:
    nncf, openvino = load_nncf(), load_openvino()
    tokenizer, prompt = embedder.engine.tokenizer_of("document"), embedder.folder.prompts.document

    def inputs(text: str) -> dict[str, Any]:
        bar.update(1)
        ids = np.array([tokenizer.encode(prompt + text).ids], dtype=np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    kept = [_ATTENTION] if parts == "feed-forward" else []
    # NNCF's own bars go to stdout, and it does not tell how often it goes through the texts.
    with redirect_stdout(io.StringIO()), progress(desc="calibrate", unit="text") as bar:
        graph = nncf.quantize(
            openvino.Core().read_model(str(converted / "model.xml")),
            nncf.Dataset(list(texts), inputs),
            subset_size=len(texts),
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(patterns=kept, validate=False),
        )
    folder.mkdir()
    openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    (folder / "tokenizer.json").write_bytes((converted / "tokenizer.json").read_bytes())
