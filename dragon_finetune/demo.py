"""The demo: the example codex run end to end, with its own scripts in processes of their own."""

import re
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError, DragonFinetuneError
from dragon_finetune.evaluation.asking import JudgedQuestions
from dragon_finetune.evaluation.comparing import compare
from dragon_finetune.evaluation.judged import JudgedComparison
from dragon_finetune.evaluation.leaks import find_leaks
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.evaluation.runs import Corpus, Run, load_run
from dragon_finetune.files import write_json, write_text
from dragon_finetune.model_place import EMBEDDED, locate
from dragon_finetune.pair import read_pairs
from dragon_finetune.tokens.audit import audit_tokens

_QUICK = {"epochs": 1, "max_steps": 3, "batch_size": 8, "max_validation_corpus": 100}

_ANSWERS = Path("data/testing/answers_baseline_retrieval_semantic_search.json")
_SCORES = Path("data/testing/baseline_evaluation_detailed.json")
_QUESTIONS = Path("data/testing/questions_100.json")
_PAIRS = Path("data/training/pairs.jsonl")
_JUDGED = Path("data/testing/judged_200.json")
# What is shown -> the switch, and the folder under models/ that `finetuned` stands for.
_RUNS = {
    "base": ("base", "finetuned"),
    "joined": ("finetuned", "joined"),
    "tuned-joined": ("finetuned", "finetuned"),
}
_SCRIPTS = (
    "src.embedding.emb_03_embed_all_chunks",
    "src.embedding.create_collections",
    "tests.test_baselines_retrieval",
    "tests.evaluate_retrieval",
)


def run_demo(out: Path, *, quick: bool = False, raw_pairs: bool = False) -> str:
    """Return the report of the whole path: audit, train, then embed and score the base and what was made of it.

    That is: the base with the corpus's words in its vectors (joined), and the tuned model with them.

    Args:
        out: the folder to work in. It holds `codex/` (the example codex, its trained model and its index) and
            `results/` (both runs' answers and scores) afterwards. An earlier demo's folder is used again, and its
            finished training is not repeated.
        quick: train a few steps only, to see the path and not the gain, and leave out the base with words.
        raw_pairs: train on pairs built from the chunks (`build_pairs`), not on those that the example brings along.

    Raises:
        DataError: `out` holds something that is no demo.
        ModelError: the embedded model is not installed.
        DragonFinetuneError: one of the codex's scripts failed.
    """
    started = time.perf_counter()
    locate(EMBEDDED)
    codex = _lay_out(out)
    pairs = _raw_pairs(codex) if raw_pairs else codex / _PAIRS
    _say("1. Audit: would the model cut anything off?")
    print(audit_tokens(pairs, EMBEDDED))
    shown = {name: run for name, run in _RUNS.items() if not (quick and name == "joined")}
    if "joined" in shown:
        _say("2. Join the corpus's words to the base's vectors: nothing is trained")
        print(_join(codex))
    _say("3. Train, and join them to the tuned model's")
    print(_train(codex, pairs, quick))
    runs = {}
    for step, (name, (embedder, model)) in enumerate(shown.items(), start=4):
        _say(f"{step}. {name}: embed, index, ask, score with the codex's own scripts ({embedder}: {model})")
        runs[name] = _run_codex(codex, embedder, model, out / "results" / name)
    _say(f"{len(shown) + 4}. 200 judged questions, asked of each")
    corpus = Corpus(tuple(_chunks(codex)), vectors=codex / "vectors")
    questions = JudgedQuestions(codex / _JUDGED, corpus, EMBEDDED)
    judged = {
        name: questions.compare(str(codex / "models" / model)) for name, (_, model) in shown.items() if name != "base"
    }
    return _report(out, runs, questions, judged, pairs, time.perf_counter() - started)


def _say(step: str) -> None:
    print(f"\n== {step}", flush=True)


def _lay_out(out: Path) -> Path:
    codex = out / "codex"
    if out.exists() and any(out.iterdir()) and not (codex / "codex.yaml").is_file():
        raise DataError(f"{out} is not empty and holds no demo. Choose another folder with --out.")
    # The wheel carries the example codex as package data; a checkout has it under examples/.
    source = Path(str(files("dragon_finetune"))) / "example_codex"
    if not source.is_dir():
        source = Path(__file__).parents[1] / "examples" / "dragons_codex"
    shutil.copytree(source, codex, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return codex


def _raw_pairs(codex: Path) -> Path:
    from dragon_finetune.pairs.building import PairsRequest, build_pairs, write_pairs

    _say("0. Pairs from the chunks alone")
    request = PairsRequest(_chunks(codex), avoid=codex / _QUESTIONS, model=EMBEDDED)
    result = build_pairs(request)
    print(result)
    write_pairs(codex / "data" / "training" / "raw_pairs.jsonl", result.pairs)
    return codex / "data" / "training" / "raw_pairs.jsonl"


def _chunks(codex: Path) -> list[Path]:
    return sorted((codex / "data" / "chunks").glob("*.jsonl"))


def _join(codex: Path) -> Any:
    from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder

    texts = [chunk.text for chunk in read_chunks(_chunks(codex))]
    questions = load_questions(codex / _QUESTIONS)
    avoid = [question["question"] for question in questions]
    return make_lexical_folder(EMBEDDED, codex / "models" / "joined", Words(texts, avoid=avoid), overwrite=True)


def _train(codex: Path, pairs: Path, quick: bool) -> Any:
    from dragon_finetune.training.config import TrainingConfig
    from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

    config = TrainingConfig(
        base_model=EMBEDDED,
        output_dir=codex / "models" / "finetuned",
        lexicon=_chunks(codex),
        overwrite=True,
        # Pairs lifted from the passages can't judge; those that people wrote can.
        judge=codex / _PAIRS if pairs != codex / _PAIRS else None,
        **(_QUICK if quick else {}),
    )
    return FineTuner(config).train(pairs)


def _run_codex(codex: Path, embedder: str, model: str, results: Path) -> Run:
    switch = codex / "codex.yaml"
    said = re.sub(r"(?m)^embedder: \w+", f"embedder: {embedder}", switch.read_text(encoding="utf-8"))
    write_text(switch, re.sub(r"(?m)^  model_path: models/\w+", f"  model_path: models/{model}", said))
    for script in _SCRIPTS:
        code = subprocess.run([sys.executable, "-m", script], cwd=codex, check=False).returncode
        # The codex's evaluation exits with 1 whenever the mean is below 3.5; that is no crash.
        if code and not (code == 1 and script == _SCRIPTS[-1]):
            raise DragonFinetuneError(f"{script} failed with exit code {code} in {codex}; its own words are above.")
    results.mkdir(parents=True, exist_ok=True)
    for file in (_ANSWERS, _SCORES):
        shutil.copy2(codex / file, results / file.name)
    return load_run(results / _ANSWERS.name, Corpus(tuple(_chunks(codex))))


def _report(
    out: Path,
    runs: dict[str, Run],
    questions: JudgedQuestions,
    judged: dict[str, JudgedComparison],
    pairs: Path,
    seconds: float,
) -> str:
    base = runs["base"]
    asked = [*base.evaluation.questions.values(), *questions.told_apart]
    leaks = find_leaks(asked, read_pairs(pairs), FineTunedEmbedder(EMBEDDED))
    comparisons = {
        name: compare(
            base.evaluation,
            run.evaluation,
            leaks=leaks,
            rankings=(base.rankings or {}, run.rankings or {}),
            judged=judged[name],
        )
        for name, run in runs.items()
        if name != "base"
    }
    summary: dict[str, Any] = {name: run.evaluation.to_dict() for name, run in runs.items()}
    summary |= {"comparisons": {name: each.to_dict() for name, each in comparisons.items()}, "seconds": seconds}
    write_json(out / "results" / "summary.json", summary)
    parts = [f"\n== base to {name}\n{each}" for name, each in comparisons.items()]
    parts += [f"\n== {name}, by the codex's own rubric\n{run.evaluation}" for name, run in runs.items()]
    return "\n".join([*parts, f"\n{seconds:.0f} s in all. Look into {out}: codex/, results/."])
