"""Shared fixtures: the packaged MiniLM, and tiny random models of other tokenizer families, built from configs."""

import atexit
import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from command_server import CommandServer, Started
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # else each pipeline that runs is reported to its makers

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("default")

EXAMPLES = Path(__file__).parents[1] / "examples"
FAMILIES = ("wordpiece", "byte_bpe", "unigram")
PROMPTS = {
    "wordpiece": {},
    "byte_bpe": {"search_query": "search_query: ", "search_document": "search_document: "},
    "unigram": {"query": "query: ", "passage": "passage: "},
}
CORPUS = [
    "Ilse Tarrowin walked the bared floor of the Thaul with nine knots of greywick at her belt.",
    "The Reckoners of the Tallyhouse keep every debt in the Salt Ledger, and the Ledger lies.",
    "“Who lit the lamp?” asked Iron Jorun. Nobody answered; the Oriel had been dark for 81 years.",
    "Ein Schiff fährt über das graue Meer, où la cloche creuse sonne sous l'eau.",
]


def tokenizer_of(family: str):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    if family == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special)
    elif family == "byte_bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="[UNK]")
    tokenizer.train_from_iterator(CORPUS * 5, trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    # Shipped with truncation and padding on, as some hub models are: nothing of ours may be fooled by that.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=128,
    )


def build_model(path: Path, family: str, *, limit: int = 64, dimension: int = 32) -> Path:
    """Save a random sentence-transformers model of a tokenizer family."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    plain = path.with_name(path.name + "-transformer")
    tokenizer = tokenizer_of(family)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=dimension,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * dimension,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    body = Transformer(str(plain))
    model = SentenceTransformer(modules=[body, Pooling(dimension), Normalize()], prompts=PROMPTS[family], device="cpu")
    model.max_seq_length = limit
    model.save_pretrained(str(path), create_model_card=False)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files of slow tests: a worker that begins one when the other has nothing left works alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def cache_of_this_session(tmp_path_factory) -> None:
    """Keep what is converted and remembered out of the user's own cache."""
    os.environ["DRAGON_FINETUNE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> dict[str, Path]:
    """Return family -> folder; never write into them."""
    root = tmp_path_factory.mktemp("models")
    return {family: build_model(root / family, family) for family in FAMILIES}


@pytest.fixture(scope="session")
def tiny(tiny_models) -> Path:
    """Return one tiny model that has prompts."""
    return tiny_models["byte_bpe"]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Install the two example plugins for real, into a folder of their own."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target]
        + [str(EXAMPLES / "plugins" / name) for name in ("codex-letters-embedder", "codex-broken-embedder")],
        check=True,
    )
    return target


@pytest.fixture
def write_jsonl(tmp_path) -> Callable[[str, list], Path]:
    """Return a function that writes records as JSON lines and returns the path."""

    def write(name: str, records: list) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return path

    return write


def fetch(target: Path, *packages: str) -> None:
    """Install packages, and nothing that they need, into a folder; skip where the package index can't be reached."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", target]
    done = subprocess.run([*map(str, command), *packages], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the package index has no {packages[0]}, or can't be reached: {done.stderr[-200:]}")


@functools.cache
def command_server() -> CommandServer:
    """Return the one of this test process."""
    server = CommandServer()
    atexit.register(server.close)
    return server


@pytest.fixture(scope="session", autouse=True)
def environment_is_kept():
    """Every command would start anew, seconds each, from the test on that leaves the environment changed."""
    yield
    if command_server.cache_info().currsize:
        assert command_server().changed(os.environ) == []


def run_command(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run the command in a folder: forked off a process that has imported the libraries, else as it is installed."""
    process = start_command(*arguments, cwd=cwd, **environment)
    out, err = process.communicate()
    return subprocess.CompletedProcess([*map(str, arguments)], process.returncode, out, err)


def run_code(code: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    """Run `python -c code arguments` in a folder, forked as `run_command` is."""
    words = [str(each) for each in arguments]
    if not hasattr(os, "fork"):
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    process = command_server().start(words, cwd, os.environ, code=code)
    out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def start_command(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen | Started:
    """Start the command as `run_command` does; it leads a session of its own, to be killed with its children."""
    told = {**os.environ, **environment}
    words = [str(each) for each in arguments]
    if hasattr(os, "fork") and command_server().serves(words, told):
        return command_server().start(words, cwd, told)
    installed = str(Path(sys.executable).with_name("dragon-finetune"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([installed, *words], cwd=cwd, env=told, start_new_session=True, **pipes)


@pytest.fixture
def cli(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs the installed command in an empty folder."""

    def run(*arguments: object, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess:
        return run_command(*arguments, cwd=cwd, **environment)

    return run


def run_here(*arguments: object) -> subprocess.CompletedProcess:
    """Run the command in this process and its folder: it says what a process of its own would, in less time."""
    from dragon_finetune.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, warnings.showwarning
    sys.argv = ["dragon-finetune", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            patch.dict(os.environ),  # what the command sets there would be another environment to later commands
        ):
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as ended:
                main()
    finally:
        sys.argv, warnings.showwarning = before
    return subprocess.CompletedProcess(sys.argv, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def make_pairs(count: int) -> list[dict]:
    """Return distinct pairs over the tiny models' vocabulary."""
    words = ["tide", "lamp", "bell", "salt", "heron", "wick", "ledger", "oar", "keel", "rope"]
    return [
        {
            "query": f"who keeps the {words[n % 10]} of house {n}",
            "positive_text": f"House {n} keeps its {words[n % 10]} under the stair, near the {words[(n * 3) % 10]}.",
        }
        for n in range(count)
    ]


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory):
    """Return the result of one training run of the tiny model on 120 pairs, which 24 of them show to be better."""
    from dragon_finetune import FineTuner, TrainingConfig

    settings = {
        "epochs": 3,
        "learning_rate": 1e-3,
        "max_seq_length": 56,
        "logging_steps": 5,
        "patience": None,
        "halves": False,
    }
    out = tmp_path_factory.mktemp("trained") / "finetuned"
    config = TrainingConfig(base_model=tiny, output_dir=out, batch_size=8, device="cpu", **settings)
    return FineTuner(config).train(make_pairs(120))


@pytest.fixture(scope="session")
def env_of(tiny):
    """Return the `.env` that switches a host to our base, or to a tuned model."""
    return {
        "base": "EMBEDDER=base\nBASE_MODEL_PATH=embedded\nBASE_PRECISION=fp32\n",
        "finetuned": f"EMBEDDER=finetuned\nFINETUNED_MODEL_PATH={tiny}\nFINETUNED_ON_OVERFLOW=split\n"
        "FINETUNED_PRECISION=fp32\nFINETUNED_DEVICE=cpu\n",
    }
