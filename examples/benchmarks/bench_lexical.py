"""What words in the vector find: the dense base, joined vectors of several sizes, BM25, and mixes of whole searches.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_lexical.py codex
    python examples/benchmarks/bench_lexical.py oz path/to/oz_chapters.jsonl
    python examples/benchmarks/bench_lexical.py path/to/judged.json [--tuned FOLDER]

A judged file is {"docs": {id: text}, "queries": {id: text}, "rel": {query id: [doc ids]}}. Of the codex the queries of
its 613 hand-written pairs are judged, each with the chunk that answers it; of Oz the 405 questions of bench_pairs.py
over chunks of 256 tokens. "exact" is the joined score without hashing, "fusion" the mean of cosine and BM25, each
scaled to 0 to 1 for the query. Rubric and coverage are over the questions with expected topics, with distances as the
product keeps them. Intervals are paired bootstraps over queries, of the difference to the dense base.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench_pairs import CODEX, judged_of_codex, judged_of_oz

from dragon_finetune import FineTunedEmbedder, TokenChunker
from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.joiner import Joiner
from dragon_finetune.embedding.levelling import Probe, Probed, fit_level, joined, probe_of, probed
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.evaluation.rubric import score_question
from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.files import write_jsonl
from dragon_finetune.lexical.learning import learn
from dragon_finetune.lexical.level import Level
from dragon_finetune.lexical.lexicon import DIMENSIONS, SHARE
from dragon_finetune.lexical.sketch import Sketcher
from dragon_finetune.pair import read_pairs
from dragon_finetune.pairs.fusion import Lexical

SIZES = (512, 1024, 2048)


@dataclass
class Collection:
    """Texts, queries, and for each query the places of the texts that answer it."""

    texts: list[str]
    queries: list[str]
    right: list[list[int]]
    on_overflow: str = "split"
    topics: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[str, list[int]] = field(default_factory=dict)


def of_chunks(files: list[Path], judged: list[dict[str, Any]], questions: Path, kinds: list[str]) -> Collection:
    chunks = list(read_chunks(files))
    place = {chunk.id: number for number, chunk in enumerate(chunks)}
    return Collection(
        [chunk.text for chunk in chunks],
        [each["question"] for each in judged],
        [[place[each] for each in query["relevant_chunk_ids"]] for query in judged],
        topics=load_questions(questions),
        kinds={kind: [n for n, each in enumerate(kinds) if each == kind] for kind in dict.fromkeys(kinds)},
    )


def codex() -> Collection:
    kinds = [f"asked of the {pair.metadata['source']}" for pair in read_pairs(CODEX / "training" / "pairs.jsonl")]
    questions = CODEX / "testing" / "questions_100.json"
    return of_chunks(sorted((CODEX / "chunks").glob("*.jsonl")), judged_of_codex(), questions, kinds)


def oz(chapters: Path, work: Path) -> Collection:
    lines = chapters.read_text(encoding="utf-8").splitlines()
    write_jsonl(work / "oz.jsonl", TokenChunker("embedded", max_tokens=256).chunk_records(map(json.loads, lines)))
    judged = judged_of_oz(work / "oz.jsonl")
    questions = Path(__file__).parent / "data" / "oz_questions.json"
    return of_chunks([work / "oz.jsonl"], judged, questions, ["" for _ in judged])


def judged_file(file: Path) -> Collection:
    content = json.loads(file.read_text(encoding="utf-8"))
    place = {name: number for number, name in enumerate(content["docs"])}
    asked = [name for name in content["queries"] if content["rel"].get(name)]
    return Collection(
        [text if text.strip() else "-" for text in content["docs"].values()],
        [content["queries"][name] for name in asked],
        [[place[each] for each in content["rel"][name] if each in place] for name in asked],
        on_overflow="truncate",
    )


def collection_of(name: str, chapters: Path | None, work: Path) -> Collection:
    """Return "codex", "oz" (of its chapters, chunked into `work`), or the collection of a judged file."""
    if name == "oz":
        return oz(chapters, work)
    return codex() if name == "codex" else judged_file(Path(name))


class Bench:
    """Scores of one collection, beside those of the dense base."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.base: np.ndarray | None = None
        self.base_topics: np.ndarray | None = None

    def row(self, name: str, scores: np.ndarray, distances: np.ndarray | None = None) -> np.ndarray:
        """Print and return the nDCG@10 of each query; `scores` (queries, texts), `distances` (questions, texts)."""
        found = [self._judge(row, right) for row, right in zip(scores, self.collection.right, strict=True)]
        ndcg, recall = np.array(found).T
        if self.base is None:
            self.base = np.array([ndcg, recall])
        cells = [cell(before, after) for before, after in zip(self.base, (ndcg, recall), strict=True)]
        if distances is not None:
            cells += self._topics(distances)
        print(f"{name:<18} {' | '.join(cells)}", flush=True)
        return ndcg

    def kinds(self, ndcg: np.ndarray, kinds: dict[str, list[int]]) -> None:
        for kind, members in kinds.items():
            if kind and members:
                print(f"    {kind} ({len(members)}): {cell(self.base[0][members], ndcg[members])}")

    def _judge(self, scores: np.ndarray, right: list[int]) -> tuple[float, float]:
        top = np.argsort(-scores, kind="stable")[:10]
        return ndcg_at_10(scores, right), float(np.isin(right, top).mean())

    def _topics(self, distances: np.ndarray) -> list[str]:
        scored = []
        for question, row in zip(self.collection.topics, distances, strict=True):
            top = np.argsort(row, kind="stable")[:10]
            found = [{"text": self.collection.texts[place], "distance": float(row[place])} for place in top]
            score = score_question(question, found)
            scored.append((score.score, score.coverage_score))
        topics = np.array(scored, dtype=float).T
        if self.base_topics is None:
            self.base_topics = topics
        return [cell(before, after) for before, after in zip(self.base_topics, topics, strict=True)]


def cell(before: np.ndarray, after: np.ndarray) -> str:
    test = paired_test(before, after)
    return f"{after.mean():.3f} {test.difference:+.3f} [{test.low:+.3f}, {test.high:+.3f}]"


def squared(queries: np.ndarray, texts: np.ndarray) -> np.ndarray:
    return np.maximum(2 - 2 * queries @ texts.T, 0)


class Vectors:
    """The dense vectors of a collection's texts, queries and questions by one model."""

    def __init__(self, collection: Collection, model: str) -> None:
        self.collection, self.model = collection, model
        self.embedder = FineTunedEmbedder(model, on_overflow=collection.on_overflow, dense_only=True)
        self.texts = self.embedder.encode(collection.texts, role="document", show_progress=True)
        self.queries = self.embedder.encode(collection.queries, role="query")
        self.asked = [question["question"] for question in collection.topics]
        self.questions = self.embedder.encode(self.asked, role="query") if self.asked else None
        self._probed: Probed | None = None

    def probed(self, probe: Probe) -> Probed:
        if self._probed is None:
            self._probed = probed(self.embedder, probe)
        return self._probed

    def dense(self, bench: Bench, name: str) -> np.ndarray:
        distances = None if self.questions is None else squared(self.questions, self.texts)
        return bench.row(name, self.queries @ self.texts.T, distances)

    def joined(self, bench: Bench, name: str, joiner: Joiner) -> np.ndarray:
        texts = joiner.join(self.texts, self.collection.texts, "document")
        queries = joiner.join(self.queries, self.collection.queries, "query")
        distances = None
        if self.questions is not None:
            distances = squared(joiner.join(self.questions, self.asked, "query"), texts)
        return bench.row(name, queries @ texts.T, distances)


def exact(vectors: Vectors, share: float) -> np.ndarray:
    """Return the joined score of each query and text, (queries, texts), without hashing, from the definition."""
    collection = vectors.collection
    lexicon = learn(collection.texts, dimensions=64, share=share)
    sketcher = Sketcher(lexicon)
    rows = []
    for text in collection.texts:
        words = lexicon.words(text)
        counts = {word: words.count(word) for word in set(words)}
        idf = lexicon.idf[[lexicon.places[word] for word in counts]]
        weights = np.sqrt(idf) * lexicon.saturated(np.array(list(counts.values()), dtype=float), len(words))
        rows.append(dict(zip(counts, weights, strict=True)))
    sizes = np.array([np.sqrt(sum(weight**2 for weight in row.values())) for row in rows])
    reach = np.quantile(sizes[sizes > 0], 0.95)
    scores = (1 - share) * vectors.queries @ vectors.texts.T
    for number, query in enumerate(collection.queries):
        known = [word for word in set(lexicon.words(query)) if word in lexicon.places]
        if not known:
            continue
        idf = lexicon.idf[[lexicon.places[word] for word in known]]
        length = float(np.linalg.norm(sketcher.queries([query])[0]))
        weights = dict(zip(known, length * np.sqrt(idf) / np.sqrt(idf.sum()), strict=True))
        found = [sum(row[word] * weight for word, weight in weights.items() if word in row) for row in rows]
        scores[number] += share * np.array(found) / np.maximum(sizes, reach)
    return scores


def fusion(cosines: np.ndarray, lexical: np.ndarray) -> np.ndarray:
    def scaled(scores: np.ndarray) -> np.ndarray:
        low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
        return (scores - low) / np.maximum(high - low, 1e-9)

    return (scaled(cosines) + scaled(lexical)) / 2


def level_of(joiner: Joiner, probe: Probe, base: Vectors, model: Vectors) -> Level:
    wanted, dense = base.probed(probe), model.probed(probe)
    return fit_level(wanted, joined(joiner, dense, probe))[0]


def by_rarity(collection: Collection) -> dict[str, list[int]]:
    """Return the thirds of the queries whose words are on the mean the commonest and the rarest."""
    lengths = np.linalg.norm(Sketcher(learn(collection.texts)).queries(collection.queries), axis=1)
    order, third = np.argsort(lengths, kind="stable").tolist(), len(lengths) // 3
    return {"the third of the commonest words": order[:third], "the third of the rarest": order[-third:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection")
    parser.add_argument("chapters", type=Path, nargs="?")
    parser.add_argument("--tuned", help="a trained folder, dense and joined")
    parser.add_argument("--share", type=float, default=SHARE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        collection = collection_of(options.collection, options.chapters, work)
        texts, queries = len(collection.texts), len(collection.queries)
        print(f"{texts} texts, {queries} judged queries, {len(collection.topics)} questions with topics")
        print("each: mean, difference to the base [95% interval]: nDCG@10 | recall@10 | rubric | coverage")
        bench, base = Bench(collection), Vectors(collection, "embedded")
        dense = base.dense(bench, "base dense")
        words = Lexical(collection.texts)
        lexical = np.array([words.scores(query) for query in collection.queries])
        bench.row("bm25", lexical)
        bench.row("fusion", fusion(base.queries @ base.texts.T, lexical))
        best = bench.row("exact", exact(base, options.share))
        probe = probe_of(collection.texts, base.asked)
        kinds = {**collection.kinds, **by_rarity(collection)}
        for size in SIZES:
            joiner = Joiner(learn(collection.texts, dimensions=size, share=options.share), None)
            level = level_of(joiner, probe, base, base)
            ndcg = base.joined(bench, f"joined {size}", Joiner(joiner.lexicon, level))
            print(f"    {(ndcg - dense).mean() / (best - dense).mean():.0%} of the exact mix's gain")
            if size == DIMENSIONS:
                bench.kinds(ndcg, kinds)
        if options.tuned:
            tuned = Vectors(collection, options.tuned)
            tuned.dense(bench, "tuned dense")
            joiner = Joiner(learn(collection.texts, share=options.share), None)
            tuned.joined(bench, "tuned joined", Joiner(joiner.lexicon, level_of(joiner, probe, base, tuned)))


if __name__ == "__main__":
    main()
