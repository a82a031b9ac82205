"""Words and a level of distances joined to a trained model."""

import json

import numpy as np
import pytest
from runs_of_training import PAIRS, config

from dragon_finetune import FineTunedEmbedder, FineTuner
from dragon_finetune.errors import DataError, ModelError, SettingsError
from dragon_finetune.training.joined import read_joined

ASKED = ["who lit the lamp", "which house has an oar"]


@pytest.fixture
def corpus(write_jsonl):
    return write_jsonl(
        "chunks.jsonl",
        [
            {"text": f"Tale {n} is of the lamp of Zorbax{n}. House {n} has an oar of ash. Nobody rowed there."}
            for n in range(30)
        ],
    )


def test_words_and_level_are_joined_after_training(tiny, tmp_path, corpus):
    settings = config(tiny, tmp_path / "out", max_steps=2, lexicon=[corpus])
    result = FineTuner(settings).train(PAIRS)
    tuned = FineTunedEmbedder(result.path, engine="torch")
    dense = FineTunedEmbedder(result.path, engine="torch", dense_only=True)
    assert tuned.dimension == dense.dimension + 2048 + 1 + 1
    assert tuned.fingerprint == result.fingerprint != dense.fingerprint
    card = json.loads((result.path / "dragon_finetune.json").read_text(encoding="utf-8"))
    assert card["lexicon"]["file"] == "lexicon.json"
    assert card["lexicon"]["passages"] == 30
    assert "words joined" in str(result)
    assert FineTuner(settings).train(PAIRS) == result  # not made twice


def test_a_chunk_file_given_twice_counts_once(tiny, tmp_path, corpus):
    other = tmp_path / "x" / ".." / corpus.name
    (tmp_path / "x").mkdir()
    with pytest.warns(UserWarning, match="counts once"):
        twice = read_joined(config(tiny, tmp_path / "out", lexicon=[corpus, other]), [])
    assert twice == read_joined(config(tiny, tmp_path / "out", lexicon=[corpus]), [])


def test_another_corpus_is_another_run(tiny, tmp_path, corpus, write_jsonl):
    FineTuner(config(tiny, tmp_path / "out", max_steps=1, lexicon=[corpus])).train(PAIRS)
    other = write_jsonl("other.jsonl", [json.loads(line) | {"more": 1} for line in corpus.read_text().splitlines()])
    same = FineTuner(config(tiny, tmp_path / "out", max_steps=1, lexicon=[other])).train(PAIRS)
    assert same.steps == 1  # the same texts, in another file
    changed = write_jsonl("changed.jsonl", [{"text": f"The oar {n} is new. It is of ash and oak."} for n in range(30)])
    with pytest.raises(ModelError, match="lexicon"):
        FineTuner(config(tiny, tmp_path / "out", max_steps=1, lexicon=[changed])).train(PAIRS)


def test_the_bases_distances_are_kept_without_a_lexicon(tiny, tmp_path):
    texts = {pair["positive_text"] for pair in PAIRS}
    result = FineTuner(
        config(
            tiny,
            tmp_path / "out",
            epochs=3,
            learning_rate=1e-3,
            validation_share=0,
            distances="base",
            on_overflow="truncate",
        )
    ).train([{**pair, "positive_text": f"{pair['positive_text']} So it was told there."} for pair in PAIRS])
    tuned = FineTunedEmbedder(result.path, engine="torch", precision="fp32")
    dense = FineTunedEmbedder(result.path, engine="torch", precision="fp32", dense_only=True)
    base = FineTunedEmbedder(tiny, engine="torch", precision="fp32")
    assert tuned.dimension == dense.dimension + 1
    cosines = {
        name: embedder.encode(ASKED, role="query") @ embedder.encode(sorted(texts), role="document").T
        for name, embedder in {"tuned": tuned, "dense": dense, "base": base}.items()
    }
    assert (np.argsort(-cosines["tuned"])[:, :5] == np.argsort(-cosines["dense"])[:, :5]).all()
    away = {name: abs(cosines[name].mean() - cosines["base"].mean()) for name in ("tuned", "dense")}
    assert away["tuned"] < away["dense"]
    assert "distances of the first and the fifth hit" in str(result)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"lexicon": ["nowhere.jsonl"]}, DataError, "nowhere.jsonl"),
        ({"lexicon_share": 2}, SettingsError, "lexicon_share"),
        ({"lexicon_dimensions": 0}, SettingsError, "lexicon_dimensions"),
        ({"distances": "tuned"}, SettingsError, "distances"),
    ],
)
def test_bad_settings_are_refused_before_work(tiny, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        FineTuner(config(tiny, tmp_path / "out", **settings)).train(PAIRS)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("records", "words"), [([{"text": "?! ..."}], "has a word"), ([{"text": "Lamp oil."}], "too few to see")]
)
def test_a_corpus_that_gives_nothing_is_refused_before_work(tiny, tmp_path, write_jsonl, records, words):
    file = write_jsonl("poor.jsonl", records)
    with pytest.raises(DataError, match=words):
        FineTuner(config(tiny, tmp_path / "out", lexicon=[file])).train(PAIRS)
    assert not list(tmp_path.glob("out*"))
