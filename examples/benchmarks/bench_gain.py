"""What training gives on judged queries, dense and joined: from judged pairs, or from raw chunks.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_gain.py codex
    python examples/benchmarks/bench_gain.py oz path/to/oz_chapters.jsonl
    python examples/benchmarks/bench_gain.py path/to/judged.json [--recipes product plain] [--splits 3] [--pairs 600]
    python examples/benchmarks/bench_gain.py codex --raw

Collections as of bench_lexical.py. Half of the judged queries train, the other half test; a pair is a training query
and a text that answers it; texts are cut to the limit. Recipes: "product" is the trainer with its defaults and its
guard; "unguarded" the same with `validation_share: 0`; "matryoshka" that with prefixes trained as vectors; "before"
the defaults that were: learning rate 5e-5, temperature 0.02, no dropout, one epoch, prefixes; "plain" the trainer of
sentence-transformers with the defaults of this loss: learning rate 2e-5, scale 20, the base's dropout, two epochs. With
`documents: frozen` the texts keep the base's vectors: "frozen" is the product's choice, "linear" its map and "encoder"
its query encoder, both unguarded. Recall@10, dense, and nDCG@10 over the test halves of all splits, with the difference
to the dense base and to the joined base, and their 95% intervals (paired bootstrap over queries). With --raw nobody's
judgement trains: pairs are built from the texts alone (`dragon-finetune pairs`, defaults), a split is a seed, and all
judged queries test.
"""

import argparse
import copy
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_lexical import Collection, Vectors, cell, collection_of

from dragon_finetune import FineTuner, PairsRequest, TrainingConfig, build_pairs
from dragon_finetune.embedding.joiner import Joiner
from dragon_finetune.embedding.model import load_model
from dragon_finetune.embedding.unit import unit
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.files import write_json, write_jsonl
from dragon_finetune.lexical.learning import learn
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import read_pairs
from dragon_finetune.training.linear import fit_map

PREFIXES = (256, 128, 64)
BEFORE: dict[str, Any] = {"learning_rate": 5e-5, "temperature": 0.02, "dropout": 0.0, "epochs": 1}
RECIPES: dict[str, dict[str, Any]] = {
    "product": {},
    "unguarded": {"validation_share": 0},
    "matryoshka": {"validation_share": 0, "matryoshka_dims": PREFIXES},
    "before": {**BEFORE, "validation_share": 0, "matryoshka_dims": PREFIXES},
    "frozen": {"documents": "frozen"},
    "encoder": {"documents": "frozen", "validation_share": 0},
}


def halves(collection: Collection, seed: int) -> tuple[list[int], list[int]]:
    """Return the places of the queries to train on and to test on."""
    places = list(range(len(collection.queries)))
    random.Random(seed).shuffle(places)
    return sorted(places[: len(places) // 2]), sorted(places[len(places) // 2 :])


def fewer(collection: Collection, count: int | None) -> Collection:
    """Return the collection with so many texts: all that answer a query, and others drawn at random."""
    answers = sorted({place for right in collection.right for place in right})
    if count is None or count >= len(collection.texts):
        return collection
    others = sorted(set(range(len(collection.texts))) - set(answers))
    drawn = random.Random(0).sample(others, max(0, min(len(others), count - len(answers))))
    kept = sorted([*answers, *drawn])
    place = {old: new for new, old in enumerate(kept)}
    right = [[place[each] for each in places] for places in collection.right]
    return replace(collection, texts=[collection.texts[each] for each in kept], right=right)


def judged_pairs(collection: Collection, places: list[int], seed: int) -> list[dict[str, str]]:
    pairs = [
        {"query": collection.queries[place], "positive_text": collection.texts[right]}
        for place in places
        for right in collection.right[place]
    ]
    random.Random(seed).shuffle(pairs)
    return pairs


def raw_pairs(collection: Collection, seed: int, work: Path) -> list[Any]:
    """Return the pairs that the product builds from the texts alone; no judged query is among them."""
    write_jsonl(work / "texts.jsonl", ({"text": text} for text in collection.texts if text != "-"))
    rest = {"category": "-", "difficulty": "easy", "expected_topics": ["-"]}
    asked = [{"question_id": n, "question": query, **rest} for n, query in enumerate(collection.queries)]
    write_json(work / "avoid.json", {"questions": asked})
    request = PairsRequest([work / "texts.jsonl"], avoid=work / "avoid.json", model="embedded", seed=seed)
    return build_pairs(request).pairs


def train(name: str, pairs: list[Any], seed: int, out: Path) -> str:
    if name == "plain":
        return plain(pairs, seed, out)
    config = TrainingConfig(
        base_model="embedded",
        output_dir=out,
        seed=seed,
        on_overflow="truncate",
        device="cpu",
        save_steps=10_000,
        **RECIPES[name],
    )
    result = FineTuner(config).train(pairs)
    told = result.verdict.get("outcome", result.unproven)
    print(f"    split {seed}: {len(pairs)} pairs, kept {result.kept} ({told}), {result.seconds:.0f} s", flush=True)
    return str(out)


def vectors_of(name: str, pairs: list[Any], seed: int, out: Path, base: Vectors) -> Vectors:
    """Return the collection's vectors by what a recipe makes of pairs."""
    if name != "linear" and RECIPES.get(name, {}).get("documents") != "frozen":
        return Vectors(base.collection, train(name, pairs, seed, out))
    made = copy.copy(base)
    if name == "linear":
        made.queries = mapped(pairs, seed, base)
        return made
    embedder = base.embedder.like(train(name, pairs, seed, out))
    assert embedder.document_fingerprint == base.embedder.document_fingerprint
    made.queries = embedder.encode(base.collection.queries, role="query")
    return made


def mapped(pairs: list[Any], seed: int, base: Vectors) -> np.ndarray:
    """Return the queries' vectors by a map that is fitted on pairs."""
    right: dict[str, list[str]] = {}
    for pair in read_pairs(pairs):
        right.setdefault(pair.query, []).append(pair.positive)
    passages = {
        text: place for place, text in enumerate(dict.fromkeys(text for each in right.values() for text in each))
    }
    known = {"query": dict(zip(base.collection.queries, base.queries, strict=True)),
             "document": dict(zip(base.collection.texts, base.texts, strict=True))}  # fmt: skip
    asked, texts = (
        np.stack(
            [known[role][each] if each in known[role] else base.embedder.encode([each], role=role)[0] for each in of]
        )
        for role, of in (("query", right), ("document", passages))
    )
    fitted = fit_map(asked, texts, [[passages[text] for text in each] for each in right.values()], seed=seed)
    return base.queries if fitted is None else unit(base.queries @ fitted)


def plain(pairs: list[dict[str, str]], seed: int, out: Path) -> str:
    """Train as sentence-transformers' documentation does."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    model = load_model(ModelFolder.open("embedded"), device="cpu")
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(out.with_suffix(".work")),
        num_train_epochs=2,
        per_device_train_batch_size=16,
        learning_rate=2e-5,
        warmup_steps=0.1,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        seed=seed,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    rows = Dataset.from_dict({"anchor": [p["query"] for p in pairs], "positive": [p["positive_text"] for p in pairs]})
    trainer = SentenceTransformerTrainer(
        model=model, args=settings, train_dataset=rows, loss=MultipleNegativesRankingLoss(model)
    )
    trainer.train()
    model.save_pretrained(str(out))
    return str(out)


def ndcg(scores: np.ndarray, collection: Collection, places: list[int]) -> np.ndarray:
    return np.array([ndcg_at_10(row, collection.right[place]) for row, place in zip(scores, places, strict=True)])


def recall(vectors: Vectors, places: list[int]) -> np.ndarray:
    """Return of each query at `places` the share of its right texts among the first ten, dense."""
    tops = np.argsort(-vectors.queries[places] @ vectors.texts.T, axis=1, kind="stable")[:, :10]
    right = [vectors.collection.right[place] for place in places]
    return np.array([np.isin(each, top).mean() for each, top in zip(right, tops, strict=True)])


def both(vectors: Vectors, joiner: Joiner, places: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return nDCG@10 of each query at `places`, dense and joined."""
    collection = vectors.collection
    asked = [collection.queries[place] for place in places]
    texts = joiner.join(vectors.texts, collection.texts, "document")
    joined = joiner.join(vectors.queries[places], asked, "query") @ texts.T
    return ndcg(vectors.queries[places] @ vectors.texts.T, collection, places), ndcg(joined, collection, places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection")
    parser.add_argument("chapters", type=Path, nargs="?")
    parser.add_argument("--recipes", nargs="+", choices=("plain", "linear", *RECIPES), default=("unguarded", "plain"))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=None, help="train on so many at most, drawn at random")
    parser.add_argument("--texts", type=int, help="of a large collection keep so many, all that answer among them")
    parser.add_argument("--raw", action="store_true", help="train on pairs built from the texts alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        collection = fewer(collection_of(options.collection, options.chapters, work), options.texts)
        joiner = Joiner(learn(collection.texts), None)
        base = Vectors(collection, "embedded")
        everything = list(range(len(collection.queries)))
        splits = [([], everything) if options.raw else halves(collection, seed) for seed in range(options.splits)]
        dense, joined, before = (
            np.concatenate(each)
            for each in zip(*((*both(base, joiner, test), recall(base, test)) for _, test in splits), strict=True)
        )
        print(f"{len(collection.queries)} queries, {options.splits} splits")
        print(
            f"{'base':<14} dense {dense.mean():.4f}, recall {before.mean():.4f} | joined {cell(dense, joined)}",
            flush=True,
        )
        for name in options.recipes:
            found = []
            for seed, (training, test) in enumerate(splits):
                pairs = (
                    raw_pairs(collection, seed, work) if options.raw else judged_pairs(collection, training, seed)
                )[: options.pairs]
                made = vectors_of(name, pairs, seed, work / f"{name}-{seed}", base)
                found.append((*both(made, joiner, test), recall(made, test)))
            ours = [np.concatenate(each) for each in zip(*found, strict=True)]
            print(
                f"{name:<14} dense {cell(dense, ours[0])}, recall {cell(before, ours[2])} | "
                f"joined to the dense base {cell(dense, ours[1])}, "
                f"to the joined base {cell(joined, ours[1])}",
                flush=True,
            )


if __name__ == "__main__":
    main()
