"""Documents frozen: they go through the base, bit for bit, and only what a query goes through is trained."""

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router

from dragon_finetune.embedding.routes import way
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.model_layout import read_layout
from dragon_finetune.model_place import CARD, LEVEL, LEXICON, TRAINING_QUERIES
from dragon_finetune.pair import Pair
from dragon_finetune.training.blend import Weights
from dragon_finetune.training.linear import fit_map
from dragon_finetune.training.saving import save_model
from dragon_finetune.training.validation import embed_texts

LINEAR = "linear"
_MOST_QUERIES = 3000  # of which the map is fitted: time and memory grow with their square
# What lies at the root of a folder and is not its first module's.
_OF_THE_FOLDER = {
    *(CARD, TRAINING_QUERIES, LEXICON, LEVEL, "README.md"),
    *("modules.json", "router_config.json", "config_sentence_transformers.json"),
}


def with_query_side(model: SentenceTransformer) -> SentenceTransformer:
    """Return a model whose queries go through a copy of their way and a map, which is the identity.

    Documents go through the modules of `model` itself, which no training changes.
    """
    query, document = copy.deepcopy(way(model, "query")), way(model, "document")
    for module in document:
        module.eval().requires_grad_(False)
        # Dropout would give the same document another vector in each step.
        module.train = lambda mode=True, module=module: module
    width = model.get_embedding_dimension()
    assert width is not None
    identity = Dense(width, width, bias=False, activation_function=None, init_weight=torch.eye(width))
    sides = Router.for_query_document(_mapped(query, identity.requires_grad_(False)), document)
    return _of([sides], model).eval()


def _of(modules: list[Any], model: SentenceTransformer) -> SentenceTransformer:
    similarity = model.similarity_fn_name
    return SentenceTransformer(modules=modules, device=str(model.device), similarity_fn_name=similarity)


def linear_weights(
    model: SentenceTransformer,
    base: Weights,
    training: Sequence[Pair],
    folder: ModelFolder,
    *,
    precision: str,
    seed: int,
) -> dict[str, Weights]:
    """Return "linear" -> the weights of the base with a map fitted on the training pairs; {}: no map finds more.

    Args:
        model: of `with_query_side`, untrained, and
        base: its weights.
        training: of these at most 3,000 queries, drawn at random, and their passages.
        folder: whose prompts and limit count.
        precision: in which the model embeds here.
        seed: of what is drawn.
    """
    queries = list(dict.fromkeys(pair.query for pair in training))
    drawn = np.random.default_rng(seed).permutation(len(queries))[:_MOST_QUERIES]
    places = {queries[place]: row for row, place in enumerate(np.sort(drawn).tolist())}
    pairs = [pair for pair in training if pair.query in places]
    texts = {text: n for n, text in enumerate(dict.fromkeys(t for p in pairs for t in (p.positive, *p.negatives)))}
    right: list[list[int]] = [[] for _ in places]
    for pair in pairs:
        right[places[pair.query]].append(texts[pair.positive])
    asked = embed_texts(model, folder.prompts, list(places), "query", precision=precision)
    found = embed_texts(model, folder.prompts, list(texts), "document", precision=precision)
    fitted = fit_map(asked, found, right, seed=seed)
    if fitted is None:
        return {}
    name = next(name for name, each in model.named_parameters() if each is _map_of(model).linear.weight)
    return {LINEAR: {**base, name: torch.from_numpy(fitted.T.copy())}}


def save_sides(model: SentenceTransformer, kept: str, path: Path, folder: ModelFolder) -> None:
    """Save what was kept of a model of `with_query_side`: no router where the base was, no copy where only a map was.

    The files of the documents' way are the base's own.

    Args:
        model: with the weights that were kept.
        kept: "base", "linear", or anything else for the query encoder.
        path: an empty folder.
        folder: the base, with the prompts and the limit it was used with.
    """
    query, document, linear = way(model, "query"), way(model, "document"), _map_of(model)
    query = [module for module in query if module is not linear]
    if not folder.routed and kept in ("base", LINEAR):
        query = document
    if kept == LINEAR:
        query = _mapped(query, linear)
    save_model(_of(_sides(query, document), model), path, folder)
    ways = (read_layout(each).ways["document"] for each in (folder.path, path))
    for original, saved in zip(*ways, strict=True):
        _copy_again(original.path, saved.path)
    for name in (LEXICON, LEVEL):
        if (folder.path / name).is_file():
            shutil.copyfile(folder.path / name, path / name)


def _sides(query: list[Any], document: list[Any]) -> list[Any]:
    """Return the modules of a model: those that both go through first, then a router if they part."""
    if len(query) == len(document) and all(map(lambda one, other: one is other, query, document)):
        return document
    shared = 0
    while shared < min(len(query), len(document)) - 1 and query[shared] is document[shared]:
        shared += 1
    return [*document[:shared], Router.for_query_document(query[shared:], document[shared:])]


def _mapped(modules: list[Any], linear: Dense) -> list[Any]:
    """Return the modules with a map at their end, before a last Normalize: vectors stay as long as they were."""
    end = len(modules) - isinstance(modules[-1], Normalize)
    return [*modules[:end], linear, *modules[end:]]


def _map_of(model: SentenceTransformer) -> Any:
    query = way(model, "query")
    return query[-2] if isinstance(query[-1], Normalize) else query[-1]


def _copy_again(original: Path, saved: Path) -> None:
    """Put the files of a module in the place of those that it was saved as, which its library may write otherwise."""
    files = _files(original)
    for file in _files(saved) if files else []:
        file.unlink()
    for file in files:
        shutil.copyfile(file, saved / file.name)


def _files(module: Path) -> list[Path]:
    inside = module.iterdir() if module.is_dir() else []
    return [each for each in inside if each.is_file() and each.name not in _OF_THE_FOLDER and each.name[0] != "."]
