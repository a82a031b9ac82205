"""A model that a file names is tried where it lies on this machine, never fetched, and never trusted with code."""

import json
import shutil
import socket

import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder, create_embedder
from dragon_finetune.errors import ModelError, SettingsError
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.chroma_function import FineTunedEmbeddingFunction, embedding_function
from dragon_finetune.index.doctor import examine
from dragon_finetune.model_place import locate_here

NAMES = ["somebody/unknown-model", "unknown", "../..", "//host/share", "\\\\host\\share", "http://host/model", "a\0b",
         "", "~nobody/x", "x" * 5000, "a/b/c/d", "nul:", "-e", "{}"]  # fmt: skip
CARDS = [json.dumps({"base_model": value}) for value in (None, 7, [], {}, True)]
CARDS += ["", "[]", "null", "{", "7", "[" * 10**5]
TEXTS = [f"House {n} keeps its lamp and bell {n * n}." for n in range(12)]


@pytest.fixture
def no_network(monkeypatch):
    """Let a model be asked from the hub, and fail the test if anything is."""
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    asked = []

    def refuse(*where, **_):
        asked.append(where)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert asked == []


@pytest.fixture
def stale(tiny, tiny_models, tmp_path):
    """Return a trained folder with a card to be written, and a store of another model's vectors."""
    tuned = shutil.copytree(tiny, tmp_path / "tuned")
    vectors = FineTunedEmbedder(tiny_models["wordpiece"], device="cpu", precision="fp32").encode(TEXTS, role="document")
    collection = open_client(tmp_path / "store").create_collection("books", embedding_function=None)
    collection.add(ids=[str(n) for n in range(12)], documents=TEXTS, embeddings=np.asarray(vectors))
    return tuned, tmp_path / "store"


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_doctor_never_asks_for_the_base_that_a_card_names(stale, no_network, name):
    tuned, store = stale
    (tuned / "dragon_finetune.json").write_text(json.dumps({"base_model": name}), encoding="utf-8")
    health = examine(FineTunedEmbedder(tuned, device="cpu", precision="fp32"), store)
    assert [finding.kind for finding in health.collections[0].findings] == ["stale"]
    if name:
        assert "Not tried: " in str(health)
        assert "not fetched: name it with --other" in str(health)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card[:20])
def test_a_damaged_card_does_not_stop_the_verdict(stale, no_network, card):
    tuned, store = stale
    (tuned / "dragon_finetune.json").write_text(card, encoding="utf-8")
    health = examine(FineTunedEmbedder(tuned, device="cpu", precision="fp32"), store)
    assert [finding.kind for finding in health.collections[0].findings] == ["stale"]


def test_a_recorded_base_that_lies_here_is_tried_and_a_broken_one_is_named(stale, no_network, tiny_models, tmp_path):
    tuned, store = stale
    card = tuned / "dragon_finetune.json"
    card.write_text(json.dumps({"base_model": str(tiny_models["wordpiece"])}), encoding="utf-8")
    assert f"those of {tiny_models['wordpiece']}" in str(examine(FineTunedEmbedder(tuned, device="cpu"), store))
    broken = shutil.copytree(tiny_models["wordpiece"], tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"cut")
    card.write_text(json.dumps({"base_model": str(broken)}), encoding="utf-8")
    said = str(examine(FineTunedEmbedder(tuned, device="cpu"), store, others=["embedded", "../nowhere"]))
    assert "nor of embedded: embed it again" in said
    assert f"Not tried: {broken} (" in said
    assert "Not tried: ../nowhere (" in said


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_the_switch_to_the_base_fetches_nothing_that_a_card_names(tmp_path, no_network, name):
    (tmp_path / "dragon_finetune.json").write_text(json.dumps({"base_model": name}), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"no such model on this machine.*set base\.model_path"):
        create_embedder({"embedder": "base", "finetuned": {"model_path": str(tmp_path)}})


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_a_store_names_no_model_to_be_fetched(no_network, name):
    with pytest.raises(ModelError, match="not trusted to name what is fetched"):
        FineTunedEmbeddingFunction.build_from_config({"model_path": name})


def test_a_store_names_no_code_to_be_run(no_network, tiny):
    config = embedding_function(FineTunedEmbedder(tiny)).get_config()
    assert FineTunedEmbeddingFunction.build_from_config(config)
    for options in ({"trust_remote_code": True}, {"trust_remote_code": True, "revision": "abc"}):
        with pytest.raises(ModelError, match="its author's code"):
            FineTunedEmbeddingFunction.build_from_config({**config, "options": options})


def test_what_is_in_the_hubs_cache_is_found(tmp_path, monkeypatch, tiny, no_network):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(tiny, tmp_path / "models--some--model" / "snapshots" / commit)
    (tmp_path / "models--some--model" / "refs").mkdir()
    (tmp_path / "models--some--model" / "refs" / "main").write_text(commit, encoding="utf-8")
    assert locate_here("some/model").name == commit
