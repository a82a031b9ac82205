"""What a step computes: slices, losses, adapters, dropout, and the very tokens that are embedded later."""

import numpy as np
import pytest
from conftest import FAMILIES, make_pairs
from runs_of_training import PAIRS, config
from transformers import TrainerCallback

from dragon_finetune import FineTunedEmbedder, FineTuner
from dragon_finetune.embedding.model import load_model
from dragon_finetune.errors import SettingsError
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import read_pairs
from dragon_finetune.training.sorting import sorted_slices


@pytest.mark.parametrize("budget", [64, 150, 10_000])
def test_slices_change_neither_vectors_nor_gradients(tiny_models, budget):
    import torch

    model = load_model(ModelFolder.open(tiny_models["wordpiece"]), device="cpu")
    texts = ["lamp", "the salt of the ledger " * 6, "oar", "the heron and the keel and the rope", "wick " * 30]

    def run():
        model.zero_grad()
        features = model.preprocess(texts)
        vectors = model(features)["sentence_embedding"]
        vectors.pow(3).sum().backward()
        return vectors.detach(), [
            parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None
        ]

    plain, gradients = run()
    with sorted_slices(model, budget):
        sliced, again = run()
    torch.testing.assert_close(sliced, plain, atol=1e-5, rtol=1e-4)
    for one, two in zip(again, gradients, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-3)
    assert "forward" not in vars(model)


def test_a_batch_of_64_is_cached_and_learns(tiny, tmp_path):
    result = FineTuner(
        config(tiny, tmp_path / "out", batch_size=64, epochs=6, learning_rate=1e-3, patience=None)
    ).train(make_pairs(140))
    losses = [entry["loss"] for entry in result.log_history if "loss" in entry]
    assert result.steps == 12
    assert losses
    assert result.validation["kept"] >= result.validation["base"]


def test_adapters_are_merged_and_the_folder_is_a_plain_one(tiny, tmp_path):
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer

    result = FineTuner(config(tiny, tmp_path / "out", epochs=2, learning_rate=1e-2, lora_rank=4)).train(PAIRS)
    saved, base = load_file(result.path / "model.safetensors"), load_file(tiny / "model.safetensors")
    assert saved.keys() == base.keys()
    changed = {name for name in base if not saved[name].equal(base[name])}
    assert result.kept == "base" or changed
    assert all(".weight" in name and "embeddings" not in name and "LayerNorm" not in name for name in changed)
    assert not list(result.path.glob("adapter*"))
    plain = SentenceTransformer(str(result.path), device="cpu").encode(["who lit the lamp"], prompt_name="query")
    ours = FineTunedEmbedder(result.path, device="cpu", precision="fp32").embed_query("who lit the lamp")
    assert np.dot(plain[0] / np.linalg.norm(plain[0]), ours) > 0.99999


@pytest.mark.parametrize("batch_size", [4, 64])
def test_what_the_base_takes_for_right_is_no_negative(tiny, tmp_path, batch_size):
    from dragon_finetune.training.losses import make_loss

    model = load_model(ModelFolder.open(tiny), device="cpu").eval()
    texts = [["who lit the lamp", "who lit the lamp"], ["Iron Jorun lit it", "Iron Jorun lit it too"]]
    losses = {}
    for margin in (None, 0.9):
        settings = config(
            tiny, tmp_path, batch_size=batch_size, matryoshka_dims=(), false_negative_margin=margin, temperature=1
        )
        loss = make_loss(model, settings)
        losses[margin] = loss([model.preprocess(column) for column in texts], None).item()
    assert losses[None] == pytest.approx(np.log(2), abs=0.05)  # two answers that look alike: a coin is thrown
    assert losses[0.9] == pytest.approx(0, abs=1e-4)  # each is ignored beside the other


def test_without_dropout_training_mode_changes_nothing(tiny_models, tmp_path):
    import torch

    from dragon_finetune.training.datasets import Examples
    from dragon_finetune.training.fitting import fit

    for folder in map(ModelFolder.open, tiny_models.values()):
        model = load_model(folder, device="cpu")
        fit(
            model,
            config(folder.path, tmp_path, dropout=0, max_steps=1),
            folder.prompts,
            Examples.of(read_pairs(PAIRS)),
            tmp_path,
            [],
            None,
        )
        features = model.preprocess(["Iron Jorun lit the lamp"])
        with torch.no_grad():
            vectors = [model.train(mode)(dict(features))["sentence_embedding"] for mode in (True, False)]
        assert vectors[0].equal(vectors[1])


def test_a_run_that_diverges_is_stopped_and_leaves_a_sound_model(tiny, tmp_path):
    class Poison(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step == 3:
                next(model.parameters()).data.fill_(float("nan"))

    settings = config(tiny, tmp_path / "out", epochs=9, logging_steps=1, validations_per_epoch=1)
    result = FineTuner(settings, callbacks=[Poison()]).train(PAIRS)
    assert "divergence" in result.trouble
    assert result.steps < 10
    assert "Lower the learning rate" in str(result)
    assert FineTunedEmbedder(result.path, device="cpu", precision="fp32").embed_query("who")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_trained_on_is_token_for_token_what_is_embedded(family, tiny_models, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformerTrainer

    seen = {}
    compute_loss = SentenceTransformerTrainer.compute_loss

    def record(self, model, inputs, *args, **kwargs):
        seen.update({key: value.clone() for key, value in inputs.items() if key.endswith("_input_ids")})
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(SentenceTransformerTrainer, "compute_loss", record)
    # One pair per batch side, so that no padding is in the way.
    pair = {"query": "who lit the lamp", "positive_text": "Iron Jorun", "negative_texts": ["Old Hob"]}
    other = {"query": "who lit the oar", "positive_text": "Iron Hob", "negative_texts": ["Old Jorun"]}
    FineTuner(config(tiny_models[family], tmp_path / "out", max_steps=1, batch_size=2, validation_share=0)).train(
        [pair, other]
    )
    embedder = FineTunedEmbedder(tiny_models[family], device="cpu")
    texts = {"query": ("query", ["who lit the lamp", "who lit the oar"])}
    texts |= {
        "positive": ("document", ["Iron Jorun", "Iron Hob"]),
        "negative_1": ("document", ["Old Hob", "Old Jorun"]),
    }
    for column, (role, expected) in texts.items():
        prompt = embedder.folder.prompts.of(role)
        ids = embedder.model.preprocess(expected, prompt=prompt)["input_ids"].tolist()
        assert sorted(seen[f"{column}_input_ids"].tolist()) == sorted(ids)


def test_matryoshka_dims_beyond_the_model_are_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match="has 64, but the model's vectors have 32"):
        FineTuner(config(tiny, tmp_path / "out", matryoshka_dims=(64,))).train(PAIRS)
