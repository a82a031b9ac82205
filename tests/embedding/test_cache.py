"""What is made once from a model and kept: where it lies, and whom it is believed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding import cache
from dragon_finetune.embedding.conversion import convert
from dragon_finetune.errors import ModelError

TEXTS = ["who keeps the lamp", "salt and bell"]


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fast(model: Path) -> FineTunedEmbedder:
    return FineTunedEmbedder(model, device="cpu", engine="openvino", precision="fp32")


def files_of(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))


def test_a_cache_that_came_with_a_model_changes_nothing(tiny, tiny_models, tmp_path, own_cache):
    model = shutil.copytree(tiny, tmp_path / "model")
    forged = model / ".dragon_finetune" / fast(model).fingerprint
    convert(FineTunedEmbedder(tiny_models["wordpiece"], device="cpu").model, forged / "openvino")
    choice = {f"engine {fast(model).dense._choice._key}": "openvino-fp32"}
    (forged / "choices.json").write_text(json.dumps(choice), encoding="utf-8")
    before = files_of(model)
    exact = FineTunedEmbedder(tiny, device="cpu", engine="torch", precision="fp32").encode(TEXTS, role="document")
    np.testing.assert_allclose(fast(model).encode(TEXTS, role="document"), exact, atol=1e-5)
    assert files_of(model) == before
    assert (own_cache / fast(model).fingerprint / "openvino" / "model.xml").is_file()


def test_nothing_is_written_into_a_models_folder(tiny, tmp_path, own_cache):
    model = shutil.copytree(tiny, tmp_path / "model")
    before = files_of(model)
    FineTunedEmbedder(model, device="cpu").embed_documents(TEXTS)
    assert files_of(model) == before
    assert files_of(own_cache)


@pytest.mark.parametrize("damage", ["", "[]", '"engine"', "{", "null", "\x00"])
def test_a_damaged_note_counts_as_none(tiny, own_cache, damage):
    folder = own_cache / FineTunedEmbedder(tiny).fingerprint
    folder.mkdir(parents=True)
    (folder / "choices.json").write_text(damage, encoding="utf-8")
    assert FineTunedEmbedder(tiny, device="cpu").embed_query("who")
    assert cache.recall(folder, "nothing") is None
    assert "openvino-" in (folder / "choices.json").read_text(encoding="utf-8")


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="Set DRAGON_FINETUNE_CACHE"):
        fast(tiny).embed_query("who")
    with pytest.warns(UserWarning, match="does not work with"):
        assert FineTunedEmbedder(tiny, device="cpu").embed_query("who")
