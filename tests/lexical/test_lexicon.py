"""The lexicon of a corpus: learned, kept, and refused where it was edited into nonsense."""

import json

import numpy as np
import pytest

from dragon_finetune.errors import DataError, ModelError, SettingsError
from dragon_finetune.lexical.learning import learn
from dragon_finetune.lexical.level import Level, level_between
from dragon_finetune.lexical.lexicon import Lexicon

TEXTS = ["The lamp of Zorbax.", "The oar and the lamp.", "An oar of ash, an oar of oak."]


def test_it_knows_in_how_many_passages_each_word_stands():
    lexicon = learn(TEXTS)
    assert lexicon.passages == 3
    assert lexicon.frequencies["lamp"] == 2
    assert lexicon.frequencies["oar"] == 2  # twice in one passage counts once
    assert lexicon.frequencies["zorbax"] == 1
    assert lexicon.mean_length == pytest.approx((4 + 5 + 8) / 3)


def test_what_is_seen_in_fewer_passages_tells_more():
    lexicon = learn(TEXTS)
    assert lexicon.idf[lexicon.places["zorbax"]] > lexicon.idf[lexicon.places["lamp"]] > 0
    assert lexicon.idf[-1] == lexicon.idf[lexicon.places["zorbax"]]  # a word not known counts as seen once


def test_it_is_the_same_again_from_its_file(tmp_path):
    lexicon = learn(TEXTS, dimensions=128, share=0.3, seed=7)
    lexicon.save(tmp_path / "lexicon.json")
    assert Lexicon.load(tmp_path / "lexicon.json") == lexicon


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"share": 2.0}, "share"),
        ({"share": "half"}, "share"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 10_000_000}, "dimensions"),
        ({"reach": 0.0}, "reach"),
        ({"frequencies": {}}, "frequencies"),
        ({"frequencies": {"lamp": 99}}, "lamp"),
        ({"frequencies": {"lamp": 0}}, "lamp"),
        ({"passages": 0}, "passages"),
        ({"form": 2}, "form"),
        ({"endings": "klingon"}, "endings"),
        ({"more": 1}, "more"),
    ],
)
def test_one_that_was_edited_into_nonsense_is_refused_by_name(tmp_path, change, words):
    learn(TEXTS).save(tmp_path / "lexicon.json")
    content = json.loads((tmp_path / "lexicon.json").read_text(encoding="utf-8"))
    (tmp_path / "lexicon.json").write_text(json.dumps({**content, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=words) as refused:
        Lexicon.load(tmp_path / "lexicon.json")
    assert "lexicon.json" in str(refused.value)
    assert "Make it again" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'"words"'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    for name, kind in (("lexicon.json", Lexicon), ("level.json", Level)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=name):
            kind.load(tmp_path / name)


@pytest.mark.parametrize("content", [{"weight": 2}, {"weight": "much"}, {"weight": 0.1, "sign": 0}, {}])
def test_a_level_edited_into_nonsense_is_refused_by_name(tmp_path, content):
    (tmp_path / "level.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=r"level\.json"):
        Level.load(tmp_path / "level.json")


def test_a_level_is_the_same_again_from_its_file(tmp_path):
    level = level_between(np.array([0.2, 0.3]), np.array([0.5, 0.6]))
    level.save(tmp_path / "level.json")
    assert Level.load(tmp_path / "level.json") == level


@pytest.mark.parametrize("texts", [[], ["?!", "..."], [""]])
def test_a_corpus_without_words_has_no_lexicon(texts):
    with pytest.raises(DataError, match="has a word"):
        learn(texts)


@pytest.mark.parametrize("settings", [{"dimensions": 0}, {"dimensions": 10_000_000}, {"share": 1.0}, {"share": -0.1}])
def test_settings_that_cant_be_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        learn(TEXTS, **settings)
