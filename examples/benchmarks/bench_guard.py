"""Does the trainer's guard tell the truth? Its verdict on held-back pairs beside what other judged queries say.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_guard.py codex
    python examples/benchmarks/bench_guard.py oz path/to/oz_chapters.jsonl
    python examples/benchmarks/bench_guard.py path/to/judged.json [--recipes good hot few] [--splits 2] [--pairs 240]

Collections as of bench_lexical.py; half of the judged queries make the pairs, a fifth of which the trainer holds back
and judges by, and the other half is never shown to it. Recipes: "good" is the product's defaults; "hot" a learning rate
of 5e-4, which harms; "cold" a temperature of 0.005; "few" 40 pairs alone. A line is one run: the guard's outcome,
difference and p, and the difference to the base that the unseen half shows for the same weights (what was kept, else
the tuned ones), with its 95% interval. The last line counts the runs in which the guard said "better" and the interval
lies below zero ("fooled"), and those in which the sign of its difference is the unseen half's.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_gain import both, fewer, halves, judged_pairs
from bench_lexical import Vectors, collection_of
from transformers import TrainerCallback

from dragon_finetune import FineTuner, TrainingConfig
from dragon_finetune.embedding.joiner import Joiner
from dragon_finetune.evaluation.statistics import PairedTest, paired_test
from dragon_finetune.lexical.learning import learn
from dragon_finetune.training.result import TrainingResult

RECIPES: dict[str, dict[str, Any]] = {
    "good": {},
    "hot": {"learning_rate": 5e-4},
    "cold": {"temperature": 0.005},
    "few": {},
}
FEW = 40


class SaveTuned(TrainerCallback):
    """Saves the weights as the training leaves them, whatever the guard makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        model.save_pretrained(str(self.folder), create_model_card=False)


@dataclass(frozen=True)
class Told:
    """One run: what the guard said, and what the unseen half says."""

    guard: dict[str, Any]
    unseen: PairedTest

    @property
    def fooled(self) -> bool:
        return self.guard["outcome"] == "better" and self.unseen.high < 0

    @property
    def agrees(self) -> bool:
        return (self.guard["difference"] > 0) == (self.unseen.difference > 0)

    def __str__(self) -> str:
        guard, unseen = self.guard, self.unseen
        return (
            f"{guard['outcome']:<10} {guard['difference']:+.3f} p {guard['p']:.3f} ({guard['queries']} queries) | "
            f"unseen {unseen.difference:+.3f} [{unseen.low:+.3f}, {unseen.high:+.3f}] ({unseen.questions})"
            f"{' FOOLED' if self.fooled else ''}"
        )


def train(name: str, pairs: list[dict[str, str]], seed: int, work: Path) -> tuple[TrainingResult, str]:
    """Return the result, and the folder of the weights that the guard spoke of."""
    out, tuned = work / f"{name}-{seed}", work / f"{name}-{seed}-tuned"
    config = TrainingConfig(
        base_model="embedded", output_dir=out, seed=seed, on_overflow="truncate", device="cpu", **RECIPES[name]
    )
    result = FineTuner(config, [SaveTuned(tuned)]).train(pairs)
    return result, str(out if result.kept != "base" else tuned)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection")
    parser.add_argument("chapters", type=Path, nargs="?")
    parser.add_argument("--recipes", nargs="+", choices=[*RECIPES], default=[*RECIPES])
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=240)
    parser.add_argument("--texts", type=int, help="of a large collection keep so many, all that answer among them")
    options = parser.parse_args()
    told: list[Told] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        collection = fewer(collection_of(options.collection, options.chapters, work), options.texts)
        joiner, base = Joiner(learn(collection.texts), None), Vectors(collection, "embedded")
        for name in options.recipes:
            for seed in range(options.splits):
                training, test = halves(collection, seed)
                pairs = judged_pairs(collection, training, seed)[: FEW if name == "few" else options.pairs]
                result, model = train(name, pairs, seed, work)
                before, after = (both(each, joiner, test)[0] for each in (base, Vectors(collection, model)))
                told.append(Told(result.verdict, paired_test(before, after)))
                print(f"{name:<5} split {seed} {told[-1]}", flush=True)
    fooled, agreeing = sum(each.fooled for each in told), sum(each.agrees for each in told)
    print(f"{len(told)} runs: fooled {fooled}, same sign {agreeing}")


if __name__ == "__main__":
    main()
