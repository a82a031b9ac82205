"""The command line. Each command parses, calls one function of the library, prints.

Exit codes: 0 fine; 1 the answer is no (each command's help says what); 2 wrong use or bad input; 3 our own failure;
130 interrupted.
"""

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from dragon_finetune.errors import DragonFinetuneError, SettingsError
from dragon_finetune.settings import OnOverflow

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Model = Annotated[str, typer.Option("--model", "-m", help='A model folder, a hub name, or "embedded".')]


def main() -> None:
    """Run the command line and exit with one of the codes above."""
    warnings.showwarning = _show_warning
    try:
        # What follows `run` is the host's command line, in which nothing is ours to parse.
        code = _run_host(sys.argv[2:]) if sys.argv[1:2] == ["run"] else app(standalone_mode=False)
    except DragonFinetuneError as error:
        code = _say(f"error: {error}", 2)
    except KeyboardInterrupt:
        code = _say("interrupted", 130)
    except Exception as error:
        code = _report(error)
    sys.exit(code if isinstance(code, int) else 0)


def _run_host(arguments: list[str]) -> int:
    if arguments in (["--help"], ["-h"]):
        app(standalone_mode=False)
        return 0
    from dragon_finetune.codex import run

    return run(arguments)


def _report(error: Exception) -> int:
    # Typer's usage errors carry their own exit code and how to show themselves; everything else is our failure.
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        return _say("interrupted", 130)
    traceback.print_exc()
    return _say("This is a fault of dragon-finetune. Please report it with the lines above.", 3)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        print(f"warning: {message}", file=sys.stderr)


def _print(value: Any, text: str, as_json: bool) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2) if as_json else text)


@app.command()
def plugins(as_json: Json = False) -> None:
    """List the installed plugins: what each offers, and which failed to load and why."""
    from dragon_finetune.host import find_plugins

    found = find_plugins()
    offers = [{"kind": offer.kind, "name": offer.name, "plugin": offer.plugin} for offer in found.offers]
    lines = [f"{offer['kind']:<9} {offer['name']:<22} {offer['plugin']}" for offer in offers]
    lines += [f"failed    {plugin}: {why}" for plugin, why in found.failures.items()]
    _print({"offers": offers, "failures": found.failures}, "\n".join(lines), as_json)


@app.command()
def audit(
    file: Annotated[Path, typer.Argument(help="JSON lines of chunks or pairs.")],
    model: Model,
    field: Annotated[str | None, typer.Option(help="Audit this field of each record.")] = None,
    image: Annotated[Path | None, typer.Option(help="Also draw the histogram: a .png, .svg or .pdf.")] = None,
    as_json: Json = False,
) -> None:
    """Count tokens and say which texts the model would cut off. Exits with 1 if there are any."""
    from dragon_finetune.tokens.audit import audit_tokens

    result = audit_tokens(file, model, field=field, show_progress=True)
    if image:
        result.save_histogram(image)
    _print(result.to_dict(), str(result), as_json)
    raise typer.Exit(1 if result.over_limit else 0)


@app.command()
def chunk(
    source: Annotated[Path, typer.Argument(metavar="IN", help="JSON lines with `text`.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="JSON lines of chunks.")],
    model: Model,
    max_tokens: Annotated[int | None, typer.Option(help="Limit per chunk; default: the model's.")] = None,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that a chunk repeats of the one before.")] = 0,
    max_chars: Annotated[int | None, typer.Option(help="A second limit, in characters.")] = None,
) -> None:
    """Cut each record's text into chunks that never exceed the limit; metadata is carried along."""
    from dragon_finetune.tokens.chunking import TokenChunker, chunk_file

    chunker = TokenChunker(model, max_tokens=max_tokens, max_chars=max_chars, overlap_tokens=overlap_tokens)
    records, chunks = chunk_file(source, target, chunker)
    print(f"{records} records -> {chunks} chunks of at most {chunker.max_tokens} tokens: {target}")


@app.command()
def embed(
    chunks: Annotated[list[Path], typer.Argument(help="JSON lines with `text`, and `chunk_id` if there is one.")],
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the shards; what is in it is not done again.")],
    store: Annotated[str | None, typer.Option(help="Also load a Chroma: a folder, or http://host:port.")] = None,
    collection: Annotated[str | None, typer.Option(help="The collection of --store to load.")] = None,
    on_overflow: OnOverflow = "error",
    precision: Annotated[str, typer.Option(help="auto | fp32 | bf16 | fp16")] = "auto",
    engine: Annotated[str, typer.Option(help="auto | torch | openvino")] = "auto",
) -> None:
    """Embed chunk files into Parquet shards; the same command goes on where a killed one stopped."""
    if (store is None) != (collection is None):
        raise SettingsError("--store and --collection go together: give both or neither.")
    from dragon_finetune.embedding.bulk import embed_files
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

    embedder = FineTunedEmbedder(model, on_overflow=on_overflow, precision=precision, engine=engine)
    result = embed_files(chunks, out, embedder)
    print(f"{result.embedded} texts embedded, {result.already_done} were done already: {out} ({embedder.engine.name})")
    if store and collection:
        from dragon_finetune.embedding.loading import load_collection

        print(f"{load_collection(chunks, out, embedder, store, collection)} records in {collection} of {store}")


@app.command()
def doctor(
    model: Model,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    store: Annotated[str, typer.Option(help="A Chroma folder, or http://host:port.")] = "vector_stores",
    collection: Annotated[list[str] | None, typer.Option(help="Look at this one only; may be repeated.")] = None,
    chunks: Annotated[list[Path] | None, typer.Option(help="The indexed chunk files, one or more.")] = None,
    other: Annotated[list[str] | None, typer.Option(help="A model that may have made stale vectors.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Records to embed again per collection.")] = 64,
    as_json: Json = False,
) -> None:
    """Say whether an index holds this model's vectors: fresh, stale, mixed, misplaced. Exits with 1 unless fresh."""
    from dragon_finetune.embedding.embedder import FineTunedEmbedder
    from dragon_finetune.embedding.staleness import examine

    health = examine(
        FineTunedEmbedder(model),
        store,
        collections=collection or (),
        # What the shell makes of `--chunks *.jsonl`: one file for the option, the others stand alone.
        chunks=[*(chunks or []), *(more or [])],
        others=other or (),
        sample=sample,
    )
    from dragon_finetune.codex import faults

    known = faults()
    said = "\n".join([str(health), *(f"fault of the host in sight: {fault}" for fault in known)])
    _print({**health.to_dict(), "host_faults": known}, said, as_json)
    raise typer.Exit(0 if health.fresh else 1)


@app.command()
def pairs(
    chunks: Annotated[list[Path], typer.Argument(help="JSON lines with `text` and whatever metadata there is.")],
    out: Annotated[Path, typer.Option(help="The pairs file to write.")],
    indexes: Annotated[Path | None, typer.Option(help="Folder of the codex's *_index.json.")] = None,
    questions_to_avoid: Annotated[Path | None, typer.Option(help="The test's questions file: none may leak.")] = None,
    per_chunk: Annotated[int, typer.Option(help="Pairs per chunk at most.")] = 4,
    seed: int = 42,
    source: Annotated[
        list[str] | None, typer.Option(help="Only this source; may be repeated. See docs/pairs.md.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The base: cuts long chunks, finds rewordings.")
    ] = None,
    hard_negatives: Annotated[int, typer.Option(help="Hard negatives per pair; needs --model.")] = 0,
    llm: Annotated[str | None, typer.Option(help="Also let this model of an Ollama server write queries.")] = None,
    llm_url: Annotated[str, typer.Option(help="Where the server is.")] = "http://localhost:11434",
    preview: Annotated[int, typer.Option(help="Print so many pairs to judge.")] = 0,
    as_json: Json = False,
) -> None:
    """Build training pairs from the codex's own text, without labels; questions to avoid do not leak into them."""
    from dragon_finetune.training.building import PairsRequest, build_pairs, write_pairs
    from dragon_finetune.training.llm import LlmSettings

    asked = LlmSettings(llm, out.with_suffix(".queries.jsonl"), llm_url, seed=seed) if llm else None
    request = PairsRequest(
        chunks, indexes, questions_to_avoid, model, per_chunk, seed, tuple(source or ()), hard_negatives, asked
    )
    result = build_pairs(request)
    write_pairs(out, result.pairs)
    shown = f"{result}\n{result.preview(preview)}" if preview else str(result)
    _print(result.to_dict(), shown, as_json)


@app.command()
def train(
    pairs: Annotated[Path, typer.Argument(help="JSON lines with `query`, `positive_text`, optional `negative_texts`.")],
    base_model: Annotated[str | None, typer.Option(help='A model folder, a hub name, or "embedded".')] = None,
    output: Annotated[Path | None, typer.Option(help="Where the trained folder goes.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of any TrainingConfig settings; flags beat it.")] = None,
    epochs: float | None = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Below 1 a share of the steps, else steps.")] = None,
    batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
    temperature: Annotated[float | None, typer.Option(help="What cosines are divided by in the loss.")] = None,
    max_seq_length: Annotated[int | None, typer.Option(help="Limit in tokens; default: the base's.")] = None,
    save_steps: float | None = None,
    seed: int | None = None,
    on_overflow: Annotated[str | None, typer.Option(help="error | truncate")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an occupied output, moving it aside first.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print audit, split, steps, memory and time; train nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Train on pairs. The same command goes on where a killed one stopped. Says `kept: base` if tuning did not help."""
    flags = {
        "base_model": base_model,
        "output_dir": output,
        "epochs": epochs,
        "learning_rate": lr,
        "warmup": warmup,
        "batch_size": batch_size,
        "gradient_accumulation_steps": gradient_accumulation_steps,
        "temperature": temperature,
        "max_seq_length": max_seq_length,
        "save_steps": save_steps,
        "seed": seed,
        "on_overflow": on_overflow,
        "overwrite": overwrite or None,
    }
    from dragon_finetune.settings import read_yaml
    from dragon_finetune.training.config import TrainingConfig

    given = {name: value for name, value in flags.items() if value is not None}
    settings = TrainingConfig(**{**(read_yaml(config) if config else {}), **given})
    from dragon_finetune.training.pairs import read_pairs

    read = read_pairs(pairs)
    from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

    if dry_run:
        plan = FineTuner(settings).plan(read)
        _print({**vars(plan), "seconds": plan.seconds}, str(plan), as_json)
        return
    result = FineTuner(settings).train(read)
    _print(result.model_dump(mode="json"), str(result), as_json)


Chunks = Annotated[list[Path] | None, typer.Option("--chunks", help="The indexed chunk files, one or more.")]
Questions = Annotated[Path | None, typer.Option("--questions", help="The questions file, to ask a model.")]
Pairs = Annotated[Path | None, typer.Option("--pairs", help="The training pairs, to look for leaks.")]


def _numbers(text: str | None, name: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(each) for each in text.split(",") if each.strip())
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; write numbers with commas between: 1e-5,2e-5.") from None


@app.command()
def search(
    pairs: Annotated[Path, typer.Argument(help="The pairs file.")],
    base_model: Annotated[str, typer.Option(help='A model folder, a hub name, or "embedded".')],
    output: Annotated[Path, typer.Option(help="Folder of the search; the same command goes on in it.")],
    budget: Annotated[str, typer.Option(help="10h, 90m, or '8 runs'.")],
    first_run: Annotated[Path | None, typer.Option(help="Answers file of the first fine-tuned run: the gate.")] = None,
    gate: Annotated[float, typer.Option(help="The score from which a search is worth while.")] = 2.5,
    force: Annotated[bool, typer.Option(help="Search whatever the gate says.")] = False,
    strategy: Annotated[str, typer.Option(help="adaptive | grid | factors (one at a time)")] = "adaptive",
    lr: Annotated[str | None, typer.Option(help="Values to try, with commas.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Values to try, with commas.")] = None,
    warmup: Annotated[str | None, typer.Option(help="Values to try, with commas.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of the other TrainingConfig settings.")] = None,
    seed: int = 42,
    chunks: Chunks = None,
    questions: Questions = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Print the trials and their time; try nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Search learning rate, epochs and warm-up by held-back pairs, never by test questions. 1: the gate says no."""
    from dragon_finetune.settings import read_yaml
    from dragon_finetune.training.search import Search
    from dragon_finetune.training.search_report import finish
    from dragon_finetune.training.space import Budget, Space, require_promise

    given = {"learning_rate": _numbers(lr, "--lr"), "epochs": _numbers(epochs, "--epochs")}
    given["warmup"] = _numbers(warmup, "--warmup")
    settings = {**(read_yaml(config) if config else {}), "base_model": base_model, "output_dir": output}
    searching = Search(
        pairs,
        settings,
        space=Space(**{name: values for name, values in given.items() if values is not None}),
        strategy=strategy,  # type: ignore[arg-type]
        budget=Budget.parse(budget),
        seed=seed,
    )
    if not dry_run and not force:
        try:
            require_promise(first_run, gate)
        except DragonFinetuneError as refusal:
            print(refusal, file=sys.stderr)
            raise typer.Exit(1) from None
    plan = searching.plan()
    print(plan, file=sys.stderr if as_json else sys.stdout, flush=True)
    if dry_run:
        return
    outcome = finish(searching.run(), base_model, tuple(chunks or ()), questions, html)
    _print(outcome.to_dict(), str(outcome), as_json)


@app.command()
def evaluate(
    results: Annotated[Path | None, typer.Argument(help="The host's answers file.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Or a model, with --chunks and --questions.")
    ] = None,
    chunks: Chunks = None,
    questions: Questions = None,
    pairs: Pairs = None,
    era: Annotated[str, typer.Option(help="a: the 1 to 5 rubric; b: the newer host's quality, 0 to 5.")] = "a",
    as_json: Json = False,
) -> None:
    """Score a retrieval run by the host's rubric: mean, tier, by difficulty and category. Exits with 1 if it leaked."""
    from dragon_finetune.evaluation.runs import Corpus, load_run, look_for_leaks, training_pairs
    from dragon_finetune.evaluation.summary import summarise

    # What the shell makes of `--chunks *.jsonl`: one file for the option, the others stand alone.
    loose = [path for path in (results, *(more or [])) if path is not None]
    files = [*(chunks or []), *(path for path in loose if path.suffix == ".jsonl")]
    answers = [path for path in loose if path.suffix != ".jsonl"]
    if len(answers) + (model is not None) != 1:
        raise SettingsError("give one answers file, or --model with --chunks and --questions.")
    if era not in ("a", "b"):
        raise SettingsError(f"--era is {era!r}; it is a or b.")
    run = load_run(model or answers[0], Corpus(tuple(files), questions))
    leaks = look_for_leaks(run, training_pairs(pairs, model))
    summary = summarise(run, leaks, era=era)
    _print(summary.to_dict(), str(summary), as_json)
    raise typer.Exit(1 if leaks else 0)


@app.command()
def compare(
    base: Annotated[str, typer.Argument(help="The base's answers file; or a model, with --chunks and --questions.")],
    tuned: Annotated[list[str], typer.Argument(help="The tuned model's, or several candidates'.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="The tuned folder, where TUNED is a file.")] = None,
    chunks: Chunks = None,
    questions: Questions = None,
    pairs: Pairs = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as markdown, for a pull request.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    as_json: Json = False,
) -> None:
    """Say whether the tuned model is better, by how much, and whether to believe it. Exits with 1 unless it is."""
    from dragon_finetune.evaluation.judging import Request, judge

    files = [*(chunks or []), *(Path(path) for path in tuned if path.endswith(".jsonl"))]
    candidates = [source for source in tuned if not source.endswith(".jsonl")]
    if not candidates:
        raise SettingsError("give the tuned model's answers file too: dragon-finetune compare BASE TUNED.")
    outcome = judge(Request(base, tuple(candidates), tuple(files), questions, pairs, model, seed))
    if html:
        outcome.write_html(html)
    if markdown:
        outcome.write_markdown(markdown)
    _print(outcome.to_dict(), str(outcome), as_json)
    raise typer.Exit(outcome.exit_code)


@app.command()
def calibrate(
    base: Annotated[Path, typer.Argument(help="The base's answers file.")],
    tuned: Annotated[Path, typer.Argument(help="The tuned model's answers file.")],
    as_json: Json = False,
) -> None:
    """Propose distance thresholds that treat the tuned model as the host's treat the base."""
    from dragon_finetune.evaluation.distances import calibrate as propose
    from dragon_finetune.evaluation.rubric import evaluate_results

    calibration = propose(evaluate_results(base), evaluate_results(tuned))
    _print(calibration.to_dict(), str(calibration), as_json)


@app.command(name="run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_host(
    explain: Annotated[bool, typer.Option("--explain", help="Say what would be replaced; run nothing.")] = False,
    module: Annotated[str | None, typer.Option("-m", help="A module of the host, as for `python -m`.")] = None,
    script: Annotated[str | None, typer.Argument(help="Or a script.")] = None,
) -> None:
    """Run a script of a Dragon's Codex without a plugin manager, with the embedder that its switch names.

    Exit code, signals, output and tracebacks are the host's own.
    """
    raise AssertionError("main() takes `run` before it gets here")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder to work in; it stays for you to look into.")] = Path(
        "dragon-demo"
    ),
    quick: Annotated[bool, typer.Option(help="A few training steps: shows the path, not the gain.")] = False,
    pairs: Annotated[str, typer.Option(help="example: those it brings along; raw: built from its chunks.")] = "example",
) -> None:
    """Run the whole path on the example codex: audit, train, embed and score the base, flip the switch, again."""
    from dragon_finetune.demo import run_demo

    if pairs not in ("example", "raw"):
        raise SettingsError(f"--pairs is {pairs!r}; it is example or raw.")
    print(run_demo(out, quick=quick, raw_pairs=pairs == "raw"))


if __name__ == "__main__":
    main()
