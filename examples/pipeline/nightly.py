"""A company's nightly job: texts in, a fresh collection out, and no worse model than last night's.

    python examples/pipeline/nightly.py TEXTS... --questions judged.json --work work --store vector_stores

Exits with 0 when the collection is fresh, with 1 when it is not or when the questions show that less is found than by
the base; whatever is wrong with the input is said and ends with 2. A killed job is started again with the same line.
"""

import argparse
import sys
from pathlib import Path

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.improve.improvement import Improvement
from dragon_finetune.improve.improving import improve
from dragon_finetune.improve.request import Request
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.loading import load_collection

BASE = "embedded"  # in earnest: nomic-ai/nomic-embed-text-v1.5, or a folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--store", default="vector_stores")
    parser.add_argument("--base-model", default=BASE)
    options = parser.parse_args()
    request = Request(
        tuple(options.texts), options.base_model, options.work, questions=options.questions, pairs=options.pairs
    )
    made = improve(request, confirm=lambda plan: True, say=lambda text: print(text, file=sys.stderr))
    assert made is not None
    if made.choice.name == "base":
        print(made.choice.why)
        return 1
    return publish(made, options.work / "chunks.jsonl", options.store)


def publish(made: Improvement, chunks: Path, store: str) -> int:
    """Load the collection of the chosen model, called by its fingerprint, and look whether it is fresh."""
    embedder = FineTunedEmbedder(made.model, on_overflow="split")
    name = f"texts-{embedder.fingerprint[:12]}"  # programs change over by name, and back
    shards = chunks.parent / "vectors"
    embed_files([chunks], shards, embedder, unique_ids=True)
    records = load_collection([chunks], shards, embedder, store, name, replace=True)
    health = examine(embedder, store, collections=[name], chunks=[chunks])
    print(f"{records} records in {name}: {'fresh' if health.fresh else health}")
    return 0 if health.fresh else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DragonFinetuneError as error:
        sys.exit(print(f"error: {error}", file=sys.stderr) or 2)
