"""The options of an embedder, checked once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from dragon_finetune.errors import SettingsError, suggest
from dragon_finetune.settings import OnOverflow

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
ENGINES = ("auto", "torch", "openvino")


@dataclass(frozen=True)
class EmbedderOptions:
    """How a model embeds; what each means and its default: `embedder.FineTunedEmbedder`.

    Raises:
        SettingsError: an engine, precision or overflow rule that does not exist; names the nearest.
            Or int8 by another engine than OpenVINO.
    """

    precision: str = "auto"
    on_overflow: OnOverflow = "error"
    device: str | None = None
    truncate_dim: int | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    prompts: Mapping[str, str] | None = None
    engine: str = "auto"
    budget: int | None = None
    dense_only: bool = False
    allow_int8: bool = False

    def __post_init__(self) -> None:
        known = {"engine": ENGINES, "precision": PRECISIONS, "on_overflow": get_args(OnOverflow)}
        for name, values in known.items():
            value = getattr(self, name)
            if value not in values:
                raise SettingsError(f"{name} is {value!r}. {suggest(value, values)}")

        if self.precision == "int8" and (self.engine == "torch" or (self.device or "cpu") != "cpu"):
            raise SettingsError(f"int8 is OpenVINO's, on the CPU, not {self.engine}'s on {self.device or 'the CPU'}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-safe values: the keyword arguments of FineTunedEmbedder."""
        return asdict(self)
