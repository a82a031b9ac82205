"""The demo: the example codex run end to end, with its own scripts in processes of their own."""

import re
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError, DragonFinetuneError
from dragon_finetune.evaluation.asking import JudgedQuestions
from dragon_finetune.evaluation.comparing import compare
from dragon_finetune.evaluation.judged import JudgedComparison
from dragon_finetune.evaluation.leaks import find_leaks
from dragon_finetune.evaluation.runs import Corpus, Run, load_run
from dragon_finetune.files import write_json, write_text
from dragon_finetune.improve.improving import improve
from dragon_finetune.improve.request import Request
from dragon_finetune.model_place import EMBEDDED, locate
from dragon_finetune.pair import read_pairs

_QUICK = {"epochs": 1, "max_steps": 3, "batch_size": 8, "max_validation_corpus": 100, "halves": False}

_ANSWERS = Path("data/testing/answers_baseline_retrieval_semantic_search.json")
_SCORES = Path("data/testing/baseline_evaluation_detailed.json")
_PAIRS = Path("data/training/pairs.jsonl")
_JUDGED = Path("data/testing/judged_200.json")
_IMPROVED = "improved"
# What is shown -> the switch, and the model that `finetuned` stands for.
_RUNS = {
    "base": ("base", "tuned"),
    "joined": ("finetuned", "joined"),
    "tuned-joined": ("finetuned", "tuned"),
}
_SCRIPTS = (
    "src.embedding.emb_03_embed_all_chunks",
    "src.embedding.create_collections",
    "tests.test_baselines_retrieval",
    "tests.evaluate_retrieval",
)


def run_demo(out: Path, *, quick: bool = False) -> str:
    """Return the report of `improve` on the example codex, and of what the codex's own scripts make of it.

    That is: of the base, the base with the corpus's words in its vectors (joined), and the tuned model with them.

    Args:
        out: the folder to work in. It holds `codex/` (the example codex, its index, and `improved/`: the models and
            their page) and `results/` (all runs' answers and scores) afterwards. An earlier demo's folder is used
            again, and its finished training is not repeated.
        quick: train a few steps only, to see the path and not the gain, and leave the codex's scripts out for the base
            with words.

    Raises:
        DataError: `out` holds something that is no demo.
        ModelError: the embedded model is not installed.
        DragonFinetuneError: one of the codex's scripts failed.
    """
    started = time.perf_counter()
    locate(EMBEDDED)
    codex = _lay_out(out)
    request = Request(
        tuple(_chunks(codex)),
        EMBEDDED,
        codex / _IMPROVED,
        questions=codex / _JUDGED,
        pairs=codex / _PAIRS,
        training=_QUICK if quick else {},
    )
    print(improve(request, confirm=lambda plan: True, say=lambda text: print(text, flush=True)))
    shown = {name: run for name, run in _RUNS.items() if not (quick and name == "joined")}
    runs = {}
    for name, (embedder, model) in shown.items():
        print(f"\n== {name}: embed, index, ask, score with the codex's own scripts ({embedder}: {model})", flush=True)
        runs[name] = _run_codex(codex, embedder, model, out / "results" / name)
    corpus = Corpus(tuple(_chunks(codex)), vectors=codex / _IMPROVED / "vectors")
    questions = JudgedQuestions(codex / _JUDGED, corpus, EMBEDDED)
    judged = {
        name: questions.compare(str(codex / _IMPROVED / "models" / model))
        for name, (_, model) in shown.items()
        if name != "base"
    }
    return _report(out, runs, questions, judged, time.perf_counter() - started)


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


def _chunks(codex: Path) -> list[Path]:
    return sorted((codex / "data" / "chunks").glob("*.jsonl"))


def _run_codex(codex: Path, embedder: str, model: str, results: Path) -> Run:
    switch = codex / "codex.yaml"
    said = re.sub(r"(?m)^embedder: \w+", f"embedder: {embedder}", switch.read_text(encoding="utf-8"))
    place = f"{_IMPROVED}/models/{model}"
    write_text(switch, re.sub(r"(?m)^  model_path: \w+/[\w/]+", f"  model_path: {place}", said))
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
    seconds: float,
) -> str:
    base = runs["base"]
    asked = [*base.evaluation.questions.values(), *questions.told_apart]
    leaks = find_leaks(asked, read_pairs(out / "codex" / _PAIRS), FineTunedEmbedder(EMBEDDED))
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
    return "\n".join([*parts, f"\n{seconds:.0f} s in all. Look into {out}: codex/{_IMPROVED}/report.html, results/."])
