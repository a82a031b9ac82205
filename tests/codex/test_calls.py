"""Whose prompt goes before a text: every form of call of the three generations, from every module that makes it."""

import json

import numpy as np
import pytest
from runs_of_hosts import HOSTS, plainly

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.tokens.counting import TokenCounter

TEXTS = ["The bell of the house rang.", "Seven knots were tied."]
CALL = "def call(manager, *given, **named):\n    return manager.embed_chunks(*given, **named)\n"
SCRIPT = """
import importlib, json
from dragon_finetune.codex.install import install
install()
manager = {manager}
answers = []
for name, given, named in {calls!r}:
    vectors, mean, most, elapsed = importlib.import_module(name).call(manager, *given, **named)
    assert elapsed.total_seconds() > 0
    answers.append([vectors, mean, most])
print(json.dumps(answers))
"""
MANAGERS = {
    "a": "importlib.import_module('src.utils.util_embedding').VectorStoreManager()",
    "b": "importlib.import_module('src.utils.embedding.embedding_factory').create_embedding_manager('finetuned', "
    "importlib.import_module('src.utils.config').get_embedding_manager_config('finetuned'))",
    "c": "importlib.import_module('src.embedding.embedding_factory').create_embedding_manager("
    "importlib.import_module('src.config').get_config().RETRIEVAL_EMBEDDING)",
}
MODULES = {
    "src.retrieval.retriever": "query",
    "src.retrieval.hybrid_retriever_v2": "query",
    "src.embedding.emb_03_embed_all_chunks": "document",
    "src.retrieval.pass_17_embed_all_chunks": "document",
    "src.utils.chunking.chunking_strategies": None,
    "src.embedding.semantic_chunker": None,
}
BY_CALLER = {
    "a": [((TEXTS, 100, False), {}), ((TEXTS,), {"show_progress": False})],
    "b": [((TEXTS,), {}), ((), {"texts": TEXTS, "show_progress": False, "prefix": None})],
    "c": [((TEXTS,), {"show_progress": False}), ((), {"texts": TEXTS, "chunk_type": None})],
}
BY_NAME = {
    "b": [("search_query", "query"), ("search_document", "document")],
    "c": [("RAW", None), ("SEARCH", "query"), ("DOCUMENT", "document")],
}


def calls_of(generation):
    """Return the calls, and whose prompt each is to get."""
    unsaid = [((module, *form), MODULES[module]) for module in MODULES for form in BY_CALLER[generation]]
    key = {"b": "prefix", "c": "chunk_type"}.get(generation)
    said = [
        ((module, (), {"texts": TEXTS, "show_progress": False, key: word}), role)
        for module in ("src.retrieval.retriever", "src.embedding.emb_03_embed_all_chunks")
        for word, role in BY_NAME.get(generation, ())
    ]
    return unsaid + said


@pytest.mark.slow
@pytest.mark.parametrize("generation", "abc")
def test_each_call_gets_the_prompt_that_it_is_for(tmp_path, tiny, generation):
    for file in sorted((HOSTS / generation / "src").rglob("*.py")):
        copy = tmp_path / file.relative_to(HOSTS / generation)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    for module in MODULES:
        caller = (tmp_path / module.replace(".", "/")).with_suffix(".py")
        caller.parent.mkdir(parents=True, exist_ok=True)
        caller.write_text(CALL, encoding="utf-8")
    calls = calls_of(generation)
    script = SCRIPT.format(manager=MANAGERS[generation], calls=[call for call, _ in calls])
    env = {"EMBEDDER": "finetuned", "FINETUNED_MODEL_PATH": str(tiny), "FINETUNED_PRECISION": "fp32"}
    done = plainly(tmp_path, "-c", script, env={**env, "FINETUNED_DEVICE": "cpu"})
    assert done.returncode == 0, done.stderr
    embedder = FineTunedEmbedder(tiny, precision="fp32", device="cpu")
    vectors = {role: embedder.encode(TEXTS, role=role) for role in ("query", "document", None)}
    assert not np.allclose(vectors["query"], vectors["document"], atol=1e-2)
    assert not np.allclose(vectors["document"], vectors[None], atol=1e-2)
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(calls)
    for (found, mean, most), (call, role) in zip(answers, calls, strict=True):
        assert np.allclose(found, vectors[role], atol=1e-5), call
        counts = list(TokenCounter(embedder.folder, prompt=role).counts(TEXTS))
        assert (mean, most) == (sum(counts) / len(counts), max(counts)), call
