"""What vectors of 8 bits and of single bits lose: nDCG@10 of judged queries, paired with float32.

    python examples/benchmarks/bench_compact.py [JUDGED.json ...] [--model embedded]

Without a file: the example codex and its 200 judged questions. A file is a collection {docs: {id: text}, queries: {id:
text}, rel: {query id: [doc ids]}}. Ranges are the corpus's own; `rescored` looks at 40 texts again by the query's own
numbers.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import read_chunks
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.index.compact import Compact, to_binary, to_int8

CODEX = Path(__file__).parents[1] / "dragons_codex" / "data"


def codex() -> tuple[list[str], list[str], list[list[int]]]:
    chunks = list(read_chunks(sorted((CODEX / "chunks").glob("*.jsonl"))))
    places = {chunk.id: place for place, chunk in enumerate(chunks)}
    judged = json.loads((CODEX / "testing" / "judged_200.json").read_text(encoding="utf-8"))["questions"]
    right = [[places[answer] for answer in question["answers"]] for question in judged]
    return [chunk.text for chunk in chunks], [question["question"] for question in judged], right


def collection(file: Path) -> tuple[list[str], list[str], list[list[int]]]:
    content = json.loads(file.read_text(encoding="utf-8"))
    docs = {name: text for name, text in content["docs"].items() if text.strip()}
    places = {name: place for place, name in enumerate(docs)}
    rel = {name: [places[str(doc)] for doc in docs if str(doc) in places] for name, docs in content["rel"].items()}
    asked = [name for name in content["queries"] if rel.get(name)]
    return list(docs.values()), [content["queries"][name] for name in asked], [rel[name] for name in asked]


def ndcg(nearest: np.ndarray, right: list[list[int]], texts: int) -> list[float]:
    scores = np.zeros((len(nearest), texts))
    np.put_along_axis(scores, nearest, np.arange(nearest.shape[1], 0, -1)[None, :], axis=1)
    return [ndcg_at_10(row, each) for row, each in zip(scores, right, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--model", default="embedded")
    options = parser.parse_args()
    embedder = FineTunedEmbedder(options.model, on_overflow="split")
    for file in options.files or [None]:
        texts, queries, right = collection(file) if file else codex()
        documents, asked = embedder.encode(texts, role="document"), embedder.encode(queries, role="query")
        ranges = np.stack([documents.min(axis=0), documents.max(axis=0)])
        eight = Compact([], to_int8(documents, ranges), ranges, "int8")
        bits = Compact([], to_binary(documents), ranges, "binary")
        exact = np.argsort(-(asked @ documents.T), axis=1, kind="stable")[:, :10]
        before = ndcg(exact, right, len(texts))
        name = file.stem if file else "codex"
        print(f"{name}: {len(texts)} texts, {len(queries)} queries, nDCG@10 {np.mean(before):.4f}")
        found = {
            "int8": eight.nearest(asked),
            "binary": bits.nearest(asked, rescored=1),
            "binary, rescored": bits.nearest(asked),
            "rescored by int8": bits.nearest(asked, by=eight),
        }
        for name, nearest in found.items():
            test = paired_test(before, ndcg(nearest, right, len(texts)))
            pairs = zip(exact.tolist(), nearest.tolist(), strict=True)
            same = np.mean([len({*one} & {*two}) / 10 for one, two in pairs])
            print(f"{name:<18} {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]  top-10 overlap {same:.3f}")


if __name__ == "__main__":
    main()
