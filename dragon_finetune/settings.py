"""The config switch and its options, read in one order: codex.yaml < .env < environment < arguments."""

import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from dragon_finetune.errors import SettingsError, nearest, suggest
from dragon_finetune.files import absolute, encoding_of, is_address, read_env_file
from dragon_finetune.model_place import absolute_if_folder

OnOverflow = Literal["error", "split", "truncate"]
WAYS_TO_SPLIT = (
    "have them split and pooled: `on_overflow: split` under `finetuned:` or `base:` in codex.yaml, "
    "FINETUNED_ON_OVERFLOW=split or BASE_ON_OVERFLOW=split in .env or the environment, `--on-overflow split` on the "
    "command line; `truncate` in its place cuts them off"
)
"""What a refusal of long texts tells to do: the names are those that are read here."""
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
Numbers = Literal["float32", "int8", "binary"]
"""What the vectors of `embed --vectors` consist of."""
DEFAULT_TUNED_FOLDER = "models/finetuned"


class _Layered(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8")


class ModelOptions(_Layered):
    """Options of one embedder: the section `base:` or `finetuned:` of codex.yaml.

    Attributes:
        model_path: a folder, a hub name, or "embedded". Default: models/finetuned; for `base:` the base that the tuned
            folder records.
        on_overflow: what to do with a text over the limit: "error" refuses it, "split" embeds its pieces and pools them
            by their tokens, "truncate" cuts it off.
        precision: "auto" takes the fastest whose vectors agree with fp32. "int8": what `dragon-finetune quantize` made.
        allow_int8: let "auto" take int8 too, where it was made, accepted and is faster. Default: false.
        engine: "auto" takes the fastest of this machine.
        budget: padded tokens of one batch. Default: measured once on this machine.
        device: a torch device such as "cpu" or "cuda:1". Default: the best at hand.
        truncate_dim: keep only so many numbers of a vector. Default: all.
        trust_remote_code: run code that comes with a model of the hub; only with `revision`.
        revision: the commit of a model of the hub.
        query_prompt: what stands before a query. Default: the model folder's own.
        document_prompt: what stands before a document. Default: the model folder's own.
        store: the host's Chroma, a folder or a server's address, for the check before the first query. Default:
            unchecked, which is said.
        collections: the collections to check. Default: all. In a variable: with commas between.
    """

    model_path: str | None = None
    on_overflow: OnOverflow = "error"
    precision: Precision = "auto"
    allow_int8: bool = False
    engine: Literal["auto", "torch", "openvino"] = "auto"
    budget: int | None = None
    device: str | None = None
    truncate_dim: int | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    store: str | None = None
    collections: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("collections", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("model_path")
    @classmethod
    def _absolute_model(cls, model: str | None) -> str | None:
        return None if model is None else absolute_if_folder(model)

    @field_validator("store")
    @classmethod
    def _absolute_store(cls, store: str | None) -> str | None:
        return store if store is None or is_address(store) else str(absolute(store))

    def prompts(self) -> dict[str, str]:
        """Return the prompts that the configuration sets; the others come from the model folder."""
        chosen = {"query": self.query_prompt, "document": self.document_prompt}
        return {role: prompt for role, prompt in chosen.items() if prompt is not None}


class Switch(_Layered):
    """The top-level keys of codex.yaml that concern us; every other key is the host's own business.

    Attributes:
        embedder: "host" (the host's own, untouched), "base", "finetuned", or any name that a plugin offers.
        chunker: "token_aware", or any name that a plugin offers. Default: the host's own.
    """

    embedder: str = "host"
    chunker: str | None = None


SECTIONS = ("base", "finetuned")
_TOP_LEVEL = (*Switch.model_fields, *SECTIONS)
_S = TypeVar("_S", bound=_Layered)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises SettingsError if there is none, or no mapping in it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} can't be read as YAML: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold settings like `epochs: 2`, not {type(content).__name__}.")
    return content


def read_switch(config: Mapping[str, Any], *, env_file: Path | str = ".env") -> Switch:
    """Return which embedder and chunker the configuration asks for.

    Args:
        config: the parsed codex.yaml (the lowest layer).
        env_file: a dotenv file, read if it exists; the process environment beats it.

    Raises:
        SettingsError: a value has the wrong type.
    """
    for key in config:
        near = nearest(str(key), _TOP_LEVEL)
        if near and key not in _TOP_LEVEL:
            warnings.warn(f"codex.yaml has the key {key!r}, which nobody reads; did you mean {near!r}?", stacklevel=1)
    for name in {**os.environ, **read_env_file(env_file)}:
        if (instead := _misspelt(name)) is not None:
            warnings.warn(f"the variable {name} is read by nobody; did you mean {instead}?", stacklevel=1)
    known = {key: config[key] for key in Switch.model_fields if config.get(key) is not None}
    return _read(Switch, "", known, env_file, where="codex.yaml")


@lru_cache(maxsize=1024)
def _misspelt(variable: str) -> str | None:
    """Return the variable of ours that one is like but is not; nobody else's begin with FINETUNED_."""
    known = [
        *Switch.model_fields,
        *(f"{section}_{option}" for section in SECTIONS for option in ModelOptions.model_fields),
    ]
    name = variable.lower()
    if name in known:
        return None
    near = nearest(name, known) or ("finetuned_model_path" if name.startswith("finetuned_") else None)
    return near and near.upper()


def read_options(
    section: str, config: Mapping[str, Any], *, env_file: Path | str = ".env", **arguments: Any
) -> ModelOptions:
    """Return the options of the embedder `section` ("base" or "finetuned").

    Args:
        section: the section's name; its environment variables are `SECTION_OPTION` (`FINETUNED_MODEL_PATH`).
        config: the parsed codex.yaml (the lowest layer).
        env_file: a dotenv file, read if it exists; the process environment beats it.
        arguments: options that beat all layers.

    Raises:
        SettingsError: an unknown option in the section, or a value that is not allowed; names the nearest known.
    """
    options = config.get(section) or {}
    if not isinstance(options, Mapping):
        raise SettingsError(f"codex.yaml: `{section}:` must hold options like `model_path: ...`, not {options!r}.")
    for key in options:
        if key not in ModelOptions.model_fields:
            raise SettingsError(
                f"codex.yaml: unknown option {section}.{key}. {suggest(key, ModelOptions.model_fields)}"
            )
    return _read(ModelOptions, f"{section}_", options, env_file, where=f"{section}:", **arguments)


def _read(
    model: type[_S], prefix: str, section: Mapping[str, Any], env_file: Path | str, where: str, **arguments: Any
) -> _S:
    class Layers(model):  # type: ignore[valid-type,misc]
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, dotenv_settings, InitSettingsSource(settings_cls, dict(section))

    try:
        encoding = encoding_of(env_file) if Path(env_file).is_file() else None
        return Layers(_env_prefix=prefix, _env_file=env_file, _env_file_encoding=encoding, **arguments)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{env_file} is not UTF-8 ({error}). Save it as UTF-8.") from None
    except ValidationError as error:
        raise SettingsError(explain(where, error)) from None


def explain(where: str, error: ValidationError) -> str:
    """Return what is wrong with each value, and the nearest allowed one."""
    return "; ".join(_explain(where, item) for item in error.errors())


def _explain(where: str, error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "literal_error":
        known = [word.strip("'") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{where} {name} is {error['input']!r}. {suggest(str(error['input']), known)}"
    return f"{where} {name} is {error['input']!r}: {error['msg']}."
