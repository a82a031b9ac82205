"""Training beside the plain recipe, in one process, interleaved: pairs per second and held-back nDCG@10.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_training.py [--pairs 320] [--rounds 2]

Both train MiniLM on the same pairs of the example codex, one epoch, 64 pairs per optimizer step, learning rate 5e-5,
warm-up 10%, MultipleNegativesRankingLoss. The plain recipe is SentenceTransformerTrainer as in its documentation: fp32,
batch 16 with 4 accumulated. Ours: precision auto, batch 32 with 2 accumulated, Matryoshka, batches sorted into slices.
Time is that of the training steps alone; the held-back pairs are judged by the same code for both.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import PrinterCallback

from dragon_finetune import TrainingConfig
from dragon_finetune.embedding.model import load_model
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.training.datasets import Examples
from dragon_finetune.training.fitting import fit
from dragon_finetune.training.splitting import split_pairs
from dragon_finetune.training.validation import Validation

PAIRS = Path(__file__).parents[1] / "dragons_codex" / "data" / "training" / "pairs.jsonl"


def plain(
    model: SentenceTransformer, pairs: list[Pair], out: Path, seed: int, epochs: int = 1, batch: int = 16
) -> None:
    dataset = Dataset.from_dict({"anchor": [p.query for p in pairs], "positive": [p.positive for p in pairs]})
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=64 // batch,
        learning_rate=5e-5,
        warmup_steps=0.1,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        use_cpu=True,
        seed=seed,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    model.model_card_data.widget = [{"text": "none"}]
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=dataset, loss=MultipleNegativesRankingLoss(model)
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def ours(model: SentenceTransformer, pairs: list[Pair], out: Path, seed: int, **settings: Any) -> None:
    config = TrainingConfig(
        base_model="embedded",
        output_dir=out,
        learning_rate=5e-5,
        batch_size=32,
        gradient_accumulation_steps=2,
        seed=seed,
        save_steps=10_000,
        device="cpu",
        **settings,
    )
    fit(model, config, ModelFolder.open("embedded").prompts, Examples.of(pairs), out, [], None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    folder = ModelFolder.open("embedded")
    recipes = {"plain": plain, "ours": ours, "ours, dropout": partial(ours, dropout=None)}
    speeds: dict[str, list[float]] = {name: [] for name in recipes}
    scores: dict[str, list[float]] = {"base": [], **{name: [] for name in recipes}}
    for seed in range(1, options.rounds + 1):
        training, held_back = split_pairs(read_pairs(PAIRS), 0.2, seed)
        training = training[: options.pairs]
        validation = Validation(held_back, training + held_back, folder)
        scores["base"].append(validation.judge(load_model(folder, device="cpu")).mean)
        for name, train in recipes.items():
            model = load_model(folder, device="cpu")
            with tempfile.TemporaryDirectory() as out:
                started = time.perf_counter()
                train(model, training, Path(out), seed)
                speeds[name].append(len(training) / (time.perf_counter() - started))
            scores[name].append(validation.judge(model).mean)
    print(f"{options.pairs} pairs, one epoch, best of {options.rounds} interleaved rounds (one seed each)")
    print(f"{'':<16} {'pairs/s':>8} {'ratio':>6} {'nDCG@10 mean':>13}   by seed")
    for name, found in scores.items():
        rate = f"{max(speeds[name]):>8.2f} {max(speeds[name]) / max(speeds['plain']):>6.2f}" if name in speeds else ""
        print(f"{name:<16} {rate:>15} {statistics.mean(found):>13.4f}   {' '.join(f'{x:.4f}' for x in found)}")


if __name__ == "__main__":
    main()
