"""Pairs from a codex's own text, source by source, and what the gate drops."""

import random
import re

import pytest
from codex_of_pairs import CODEX, QUESTIONS, corpus_of, read_codex

from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.evaluation.leaks import leaking_queries
from dragon_finetune.files import write_json
from dragon_finetune.overlap import words
from dragon_finetune.pairs.corpus import Corpus, Passage, read_corpus
from dragon_finetune.pairs.entities import Entity, NameFinder, read_indexes
from dragon_finetune.pairs.sources import SOURCES
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.synthesis import PairSettings, synthesize


@pytest.fixture(scope="module")
def codex():
    return read_codex()


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "alias"])
def test_every_source_gives_pairs_whose_positive_is_of_its_passage(codex, source):
    made = synthesize(codex, PairSettings(sources=[source], per_chunk=3))
    texts = {passage.id: passage.text for passage in codex.passages}
    assert len(made.pairs) >= 20
    for pair in made.pairs:
        assert pair.metadata["source"] == source
        assert words(pair.positive) <= words(texts[pair.metadata["positive_chunk_id"]])


def test_what_a_query_gives_away_is_cut_out_of_its_passage(codex):
    for pair in synthesize(codex, PairSettings(sources=["cloze"])).pairs:
        assert pair.query not in " ".join(pair.positive.split())
    titles = {passage.id: passage.title for passage in codex.passages}
    for pair in synthesize(codex, PairSettings(sources=["heading"])).pairs:
        title = titles[pair.metadata["positive_chunk_id"]]
        assert title in pair.query
        assert not re.search(rf"(?<!\w){re.escape(title)}(?!\w)", pair.positive, re.IGNORECASE)


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
    assert len([name for name, kept in made.report.kept.items() if kept]) >= 4


def test_sources_that_have_enough_give_equally(codex):
    sources = ("cloze", "crop", "heading", "keywords")  # each has pairs for most passages
    kept = synthesize(codex, PairSettings(per_chunk=1, sources=sources)).report.kept
    assert max(kept.values()) - min(kept[name] for name in sources) <= len(codex.passages) / 10


@pytest.mark.parametrize(("title", "query"), [("IV: The Road", "The Road"), ("Chapter 3. Smoke", "Smoke")])
def test_a_titles_number_is_no_part_of_the_query(title, query):
    text = "Smoke rose over the road where nobody had walked since the old king and his horses went south."
    corpus = read_corpus([("1", {"text": text, "title": title})])
    assert query in synthesize(corpus, PairSettings(sources=["heading"])).pairs[0].query
    assert title not in synthesize(corpus, PairSettings(sources=["heading"])).pairs[0].query


def test_no_question_to_avoid_leaks(codex):
    # The test's own questions are planted where pairs are made from.
    planted = [{**QUESTIONS[n], "question_id": n} for n in range(30)]
    passages = [
        Passage(f"p{n}", f"{each['question']} {codex.passages[n].text}", f"p{n}") for n, each in enumerate(planted)
    ]
    spoiled = Corpus([*codex.passages, *passages])
    made = synthesize(spoiled, PairSettings(avoid=QUESTIONS, per_chunk=6, sources=[*SOURCES]))
    assert not leaking_queries(QUESTIONS, made.pairs)
    assert leaking_queries(QUESTIONS, synthesize(spoiled, PairSettings(per_chunk=6, sources=[*SOURCES])).pairs)
    assert made.report.dropped["a question to avoid, or near to one"] > 0


def test_queries_have_the_length_of_the_questions_to_avoid(codex):
    short, long = (
        synthesize(codex, PairSettings(sources=["crop"], style=QueryStyle(lengths=(length,)))).pairs
        for length in (4, 12)
    )
    assert {len(pair.query.split()) for pair in short} <= {2, 3, 4}
    assert sorted(len(pair.query.split()) for pair in long)[len(long) // 2] == 12
    style = QueryStyle.of_file(CODEX / "testing" / "questions_100.json")
    assert (len(style.lengths), 0.5 < style.questions <= 1) == (100, True)


def test_an_alias_in_the_query_another_name_in_the_text(tmp_path):
    entry = {"primary_name": "Ilse Tarrowin", "aliases": ["the Otter", "Debtor 413"], "filename": "gone.md"}
    write_json(tmp_path / "character_index.json", {"Ilse": entry, "Hob": {}})
    write_json(tmp_path / "concept_index.json", {"Thaul": {"overview": "The sea that withdraws once in nine years."}})
    text = "On the third morning Ilse Tarrowin went down to the harbour and asked the keeper for her oar and a rope."
    rows = [("c0", {"text": text})]
    other = "The tithe clerk counted the salt of pan {} and wrote it down in the book."
    rows += [(f"c{n}", {"text": other.format(n)}) for n in (1, 2)]
    made = synthesize(read_corpus(rows, tmp_path), PairSettings(sources=["alias"]))
    assert {name for name in ("the Otter", "Debtor 413") for pair in made.pairs if name in pair.query}
    assert all("Ilse Tarrowin" in pair.positive for pair in made.pairs)
    assert read_indexes(tmp_path)[-1] == Entity("Thaul", (), False, "The sea that withdraws once in nine years.")


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
    spoiled = [Passage(p.id, f"{generic} {p.text}", p.page) for p in codex.passages[:60]]
    report = synthesize(Corpus(spoiled), PairSettings(sources=["cloze"], style=QueryStyle(lengths=(7,)))).report
    assert report.dropped["too generic to be answered"] > 0
    assert generic in str(report)


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
    made = synthesize(corpus, PairSettings(sources=["cloze", "keywords"]))
    assert not corpus.english
    for script in letters:
        assert sum(set(pair.query.casefold()) & set(script) > set() for pair in made.pairs) >= 20


@pytest.mark.parametrize("texts", [["word"] * 5, ["x"], ["One short line."]])
def test_chunks_too_short_for_pairs_are_refused_with_what_to_do(texts):
    with pytest.raises(DataError, match="Give longer chunks"):
        synthesize(corpus_of(texts))


def test_a_source_without_names_says_that_it_needs_indexes(codex):
    with pytest.raises(DataError, match=r"by alias\. .*--indexes"):
        synthesize(Corpus(codex.passages), PairSettings(sources=["alias"]))


def test_bad_settings_are_refused(codex):
    with pytest.raises(SettingsError, match="cloze"):
        synthesize(codex, PairSettings(sources=["kloze"]))
    with pytest.raises(SettingsError, match="per_chunk is 0"):
        synthesize(codex, PairSettings(per_chunk=0))
