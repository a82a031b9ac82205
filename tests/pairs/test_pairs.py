"""Pairs from a codex's own text, source by source, and what the gate drops."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from codex_of_pairs import CODEX, QUESTIONS, corpus_of, read_codex

from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.evaluation.leaks import leaking_queries
from dragon_finetune.files import write_json
from dragon_finetune.overlap import words
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage, read_corpus
from dragon_finetune.pairs.entities import Entity, NameFinder, read_indexes
from dragon_finetune.pairs.gate import Gate
from dragon_finetune.pairs.sources import LIFTED, SOURCES, TAKEN_OUT
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.synthesis import PairSettings, synthesize
from dragon_finetune.pairs.words import tokens


@pytest.fixture(scope="module")
def codex():
    return read_codex()


@pytest.mark.parametrize("source", [*SOURCES])
def test_every_source_gives_pairs_whose_positive_is_of_its_passage(codex, source):
    made = synthesize(codex, PairSettings(sources=[source], per_chunk=3))
    texts = {passage.id: passage.text for passage in codex.passages}
    assert len(made.pairs) >= 20
    for pair in made.pairs:
        assert pair.metadata["source"] == source
        assert words(pair.positive) <= words(texts[pair.metadata["positive_chunk_id"]])


def test_the_same_seed_gives_the_same_pairs_and_another_gives_others(codex):
    one, two, other = (synthesize(codex, PairSettings(seed=seed)).pairs for seed in (1, 1, 2))
    assert one == two
    assert {pair.query for pair in one} != {pair.query for pair in other}


@pytest.mark.parametrize("per_chunk", [1, 2, 5])
def test_a_passage_gives_at_most_so_many_pairs_and_sources_take_turns(codex, per_chunk):
    made = synthesize(codex, PairSettings(per_chunk=per_chunk, sources=[*SOURCES]))
    counts: dict[str, int] = {}
    for pair in made.pairs:
        identity = str(pair.metadata["positive_chunk_id"])
        counts[identity] = counts.get(identity, 0) + 1
    assert max(counts.values()) == per_chunk
    assert all(made.report.kept.values())


def test_sources_that_have_enough_give_equally(codex, monkeypatch):
    def turned(corpus, dice, style) -> Iterator[Pair]:
        for pair in SOURCES["keywords"](corpus, dice, style):
            query = " ".join(reversed(pair.query.split()))
            yield replace(pair, query=query, metadata={**pair.metadata, "source": "turned"})

    monkeypatch.setitem(SOURCES, "turned", turned)
    kept = synthesize(codex, PairSettings(per_chunk=1, sources=("keywords", "turned"))).report.kept
    assert max(kept.values()) - min(kept.values()) <= 1


def test_no_question_to_avoid_leaks(codex):
    made = synthesize(codex, PairSettings(avoid=QUESTIONS, sources=["keywords"])).pairs
    planted = [
        Pair(f"{each['question']} Yes", made[n].positive, (), made[n].metadata) for n, each in enumerate(QUESTIONS)
    ]
    gate = Gate(codex, QUESTIONS)
    assert leaking_queries(QUESTIONS, planted)
    kept = gate.without_leaks([*made, *planted], None)
    assert not leaking_queries(QUESTIONS, kept)
    assert len(kept) >= len(made)
    assert gate.report.dropped["a question to avoid, or near to one"] > 0


def test_queries_have_the_length_of_the_questions_to_avoid(codex):
    short, long = (
        synthesize(codex, PairSettings(sources=["keywords"], style=QueryStyle(lengths=(length,)))).pairs
        for length in (3, 12)
    )
    assert {len(pair.query.split()) for pair in short} <= {2, 3}
    assert sorted(len(pair.query.split()) for pair in long)[len(long) // 2] == 6
    assert len(QueryStyle.of_file(CODEX / "testing" / "questions_100.json").lengths) == 100


def test_keywords_are_of_the_passage_and_of_none_beside_it(codex):
    for pair in synthesize(codex, PairSettings(sources=["keywords"])).pairs:
        page = codex.pages[pair.metadata["page"]]
        at = [codex.passages[place].id for place in page].index(pair.metadata["positive_chunk_id"])
        beside = [codex.passages[page[near]].text for near in (at - 1, at + 1) if 0 <= near < len(page)]
        assert {*pair.query.split()} <= {*tokens(pair.positive)} - {word for text in beside for word in tokens(text)}


def test_a_mention_names_who_is_shown_in_a_book_with_words_that_its_definition_shares(tmp_path):
    entry = {"primary_name": "Ilse Tarrowin", "aliases": ["the Otter"], "overview": "A salter who owes an oar."}
    write_json(tmp_path / "character_index.json", {"Ilse": entry, "Hob": {}})
    write_json(tmp_path / "concept_index.json", {"Thaul": {"overview": "The sea that withdraws once in nine years."}})
    rows = [("c0", {"text": "The Otter went down and asked the salter for an oar.", "chapter_number": 1})]
    # So that small words stand in more than two of them.
    rows += [
        (f"c{n}", {"text": f"A clerk counted an ounce in pan {n} and wrote.", "chapter_number": 1}) for n in (1, 2)
    ]
    made = synthesize(read_corpus(rows, tmp_path), PairSettings(sources=["mention"]))
    assert [pair.query for pair in made.pairs] == ["Ilse Tarrowin salter oar"]
    assert read_indexes(tmp_path)[-1] == Entity("Thaul", (), "The sea that withdraws once in nine years.")


def test_names_are_found_as_whole_words():
    finder = NameFinder([Entity("Ilse", ("the Otter",)), Entity("Hob")])
    assert list(finder.find("Hobnail. THE OTTER and Hob and Ilse")) == [0, 1]


def test_bad_indexes_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no \*_index.json"):
        read_indexes(tmp_path)
    write_json(tmp_path / "concept_index.json", [1])
    with pytest.raises(DataError, match=r"concept_index.json: expected an object"):
        read_indexes(tmp_path)


def test_queries_that_cannot_be_answered_are_dropped_and_shown(codex):
    generic = "And what is it that they do?"
    gate = Gate(codex)
    assert not gate.lets_through("llm", Pair(generic, codex.passages[0].text))
    assert gate.lets_through("llm", Pair("Who keeps the Salt Ledger?", codex.passages[0].text))
    assert gate.report.dropped == {"too generic to be answered": 1}
    assert generic in str(gate.report)


def test_a_tenth_of_duplicated_chunks_gives_no_duplicate_pairs(codex):
    passages = [*codex.passages, *(Passage(f"{p.id}x", p.text, f"{p.page}x", p.title) for p in codex.passages[:26])]
    made = synthesize(Corpus(passages), PairSettings(per_chunk=6))
    keys = [(pair.query, pair.positive) for pair in made.pairs]
    assert len(keys) == len(set(keys))


def test_mixed_languages_pass_where_the_corpus_has_them():
    dice = random.Random(1)
    letters = ("abdeiklmnorstu", "äbdeöklmnßrstü", "абвгдежзиклмно")
    invented = [["".join(dice.choices(script, k=7)) for _ in range(300)] for script in letters]
    texts = [
        " ".join(" ".join(dice.choices(words, k=9)).capitalize() + "." for _ in range(4)) for words in invented * 20
    ]
    corpus = corpus_of(texts)
    made = synthesize(corpus, PairSettings(sources=["keywords"]))
    for script in letters:
        assert sum(set(pair.query.casefold()) & set(script) > set() for pair in made.pairs) >= 20


@pytest.mark.parametrize("texts", [["word"] * 5, ["x"], ["One short line."]])
def test_chunks_too_short_for_pairs_are_refused_with_what_to_do(texts):
    with pytest.raises(DataError, match="Give longer chunks"):
        synthesize(corpus_of(texts))


def test_a_source_without_names_says_that_it_needs_indexes(codex):
    with pytest.raises(DataError, match=r"by mention\. .*--indexes"):
        synthesize(Corpus(codex.passages), PairSettings(sources=["mention"]))


def test_bad_settings_are_refused(codex):
    with pytest.raises(SettingsError, match="keywords"):
        synthesize(codex, PairSettings(sources=["keyword"]))
    for name in TAKEN_OUT:
        with pytest.raises(SettingsError, match=f"'{name}' was taken out.*There are mention, keywords, hybrid"):
            synthesize(codex, PairSettings(sources=[name]))
    with pytest.raises(SettingsError, match="per_chunk is 0"):
        synthesize(codex, PairSettings(per_chunk=0))


def test_pairs_of_every_source_that_lifts_or_lifted_queries_count_as_lifted():
    assert {"alias", "cloze", "crop", "definition", "heading", "hybrid", "keywords", "mention"} == LIFTED
