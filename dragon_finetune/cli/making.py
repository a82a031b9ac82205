"""Commands that make pairs and train on them: pairs, train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragon_finetune.cli.options import Json, TextField, all_of, print_result
from dragon_finetune.processes import is_first_process, processes_together
from dragon_finetune.text import printable

if TYPE_CHECKING:
    from dragon_finetune.pair import Pair
    from dragon_finetune.training.config import TrainingConfig


def pairs(
    chunks: Annotated[list[Path], typer.Argument(help="Files of texts with whatever metadata there is, or folders.")],
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
    vectors: Annotated[
        Path | None, typer.Option(help="Keeps a big corpus's vectors (default: beside the pairs).", show_default=False)
    ] = None,
    approximate_from: Annotated[int, typer.Option(help="Chunks from which not all are compared.")] = 50_000,
    text_field: TextField = None,
    preview: Annotated[int, typer.Option(help="Print so many pairs to judge.")] = 0,
    as_json: Json = False,
) -> None:
    """Build training pairs from texts alone, or by a language model.

    Questions to avoid do not leak into them.

    Example: dragon-finetune pairs chunks.jsonl --out pairs.jsonl --model embedded --llm llama3.2
    """
    from dragon_finetune.pairs.building import PairsRequest, build_pairs, write_pairs
    from dragon_finetune.pairs.llm import LlmSettings
    from dragon_finetune.reading.kinds import require_lines

    require_lines(out)
    asked = LlmSettings(llm, out.with_suffix(".queries.jsonl"), llm_url, seed=seed) if llm else None
    request = PairsRequest(
        chunks,
        indexes,
        questions_to_avoid,
        model,
        per_chunk,
        seed,
        tuple(source or ()),
        hard_negatives,
        asked,
        text_field,
        vectors or out.with_suffix(".vectors"),
        approximate_from,
    )
    result = build_pairs(request)
    write_pairs(out, result.pairs)
    shown = f"{result}\n{result.preview(preview)}" if preview else str(result)
    print_result(result.to_dict(), shown, as_json)


def train(
    pairs: Annotated[Path, typer.Argument(help="Pairs: a file in any usual form, or a BEIR folder (docs/input.md).")],
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    base_model: Annotated[str | None, typer.Option(help='A model folder, a hub name, or "embedded".')] = None,
    output: Annotated[Path | None, typer.Option(help="Where the trained folder goes.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of any TrainingConfig settings; flags beat it.")] = None,
    documents: Annotated[str | None, typer.Option(help="trained | frozen: the base's index stays good.")] = None,
    epochs: float | None = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Below 1 a share of the steps, else steps.")] = None,
    batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
    temperature: Annotated[float | None, typer.Option(help="What cosines are divided by in the loss.")] = None,
    max_seq_length: Annotated[int | None, typer.Option(help="Limit in tokens; default: the base's.")] = None,
    prompts: Annotated[
        str | None, typer.Option(help="Train with the prompts of this family: nomic, e5, bge...; or none.")
    ] = None,
    save_steps: float | None = None,
    seed: int | None = None,
    on_overflow: Annotated[str | None, typer.Option(help="error | truncate")] = None,
    judge: Annotated[Path | None, typer.Option(help="Pairs that are not trained on and judge the model.")] = None,
    lexicon: Annotated[
        list[Path] | None, typer.Option(help="Chunk files whose words go into the vectors, one or more.")
    ] = None,
    distances: Annotated[str | None, typer.Option(help="base | native: whose level of distances.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an occupied output, moving it aside first.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print audit, split, steps, memory and time; train nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Train on pairs; keep what is shown to be better.

    Held-back queries say so. The same command goes on where a killed one stopped. `kept: base`: no gain was shown.

    Example: dragon-finetune train pairs.jsonl --base-model embedded --output models/finetuned
    """
    from dragon_finetune.pair import read_pairs

    settings = _settings(
        config,
        base_model=base_model,
        output_dir=output,
        documents=documents,
        epochs=epochs,
        learning_rate=lr,
        warmup=warmup,
        batch_size=batch_size,
        gradient_accumulation_steps=gradient_accumulation_steps,
        temperature=temperature,
        max_seq_length=max_seq_length,
        **_prompts(prompts),
        save_steps=save_steps,
        seed=seed,
        on_overflow=on_overflow,
        judge=judge,
        lexicon=all_of("--lexicon", lexicon, more) or None,
        distances=distances,
        overwrite=overwrite or None,
    )
    # Of several processes only the first is to hold them.
    _train(settings, pairs if processes_together() > 1 else read_pairs(pairs), dry_run, as_json)


def _prompts(family: str | None) -> dict[str, str]:
    from dragon_finetune.known_prompts import prompts_named

    chosen = prompts_named(family) if family else None
    return {"query_prompt": chosen.query, "document_prompt": chosen.document} if chosen else {}


def _settings(file: Path | None, **flags: Any) -> "TrainingConfig":
    """Return the settings of a file, beaten by the flags that are given."""
    from dragon_finetune.settings import read_yaml
    from dragon_finetune.training.config import TrainingConfig

    given = {name: value for name, value in flags.items() if value is not None}
    return TrainingConfig(**{**(read_yaml(file) if file else {}), **given})


def _train(settings: "TrainingConfig", pairs: "list[Pair] | Path", dry_run: bool, as_json: bool) -> None:
    from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

    if dry_run:
        plan = FineTuner(settings).plan(pairs)
        if is_first_process():
            print_result({**vars(plan), "seconds": plan.seconds}, str(plan), as_json)
        return
    result = FineTuner(settings).train(pairs)
    if not is_first_process():
        return
    print_result(result.model_dump(mode="json"), str(result), as_json)
    if not as_json:  # it loads the model once more
        from dragon_finetune.codex.host_config import for_generation_c

        print(printable(for_generation_c(result.path)))
