"""The int8 form of a model: where it lies, what was measured of it, and whether it may be used."""

import hashlib
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dragon_finetune.embedding.cache import cache_folder
from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.hardware import has_nvidia, has_openvino
from dragon_finetune.embedding.instruction_sets import instruction_set
from dragon_finetune.embedding.options import EmbedderOptions
from dragon_finetune.errors import DragonFinetuneError, ModelError, SettingsError
from dragon_finetune.files import read_json, write_json
from dragon_finetune.model_folder import ModelFolder

MAX_LOSS, MIN_OVERLAP = 0.005, 0.95
Parts = Literal["all", "feed-forward"]
_RECORD, _IN_USE = "int8.json", "in_use.json"


@dataclass(frozen=True)
class Pairing:
    """What judged questions say of one pairing of precisions against fp32 on both sides.

    Attributes:
        documents, queries: "int8" or "fp32".
        difference: of mean nDCG@10, with its 95% interval from `low` to `high`.
        overlap: mean share of the ten nearest documents of a question that are the same.
        questions: how many.
    """

    documents: str
    queries: str
    difference: float
    low: float
    high: float
    overlap: float
    questions: int

    @property
    def accepted(self) -> bool:
        """Whether the interval lies above a loss of 0.005, and the overlap is at least 0.95."""
        return self.low > -MAX_LOSS and self.overlap >= MIN_OVERLAP

    def __str__(self) -> str:
        return (
            f"documents {self.documents}, queries {self.queries}: nDCG@10 {self.difference:+.4f} [{self.low:+.4f}, "
            f"{self.high:+.4f}], top-10 overlap {self.overlap:.3f} over {self.questions} questions: "
            f"{'accepted' if self.accepted else 'refused'}"
        )


@dataclass(frozen=True)
class Int8:
    """An int8 form of a model, made for one instruction set.

    Attributes:
        path: the folder of its converted model.
        calibration: hash of what it was made from: texts, settings, versions.
        texts: how many it was calibrated on.
        seconds: what making it took.
        speed: how many times as fast as fp32 it embeds the texts it was calibrated on.
        parts: which layers are in 8 bits (`quantising.quantise`).
        instructions: `instruction_sets.instruction_set` of the CPU.
        cosines: mean and least cosine of document vectors to fp32; None: not measured.
        pairings: what judged questions say; empty: nobody asked any.
    """

    path: Path
    calibration: str
    texts: int
    seconds: float
    speed: float
    instructions: str
    parts: Parts
    cosines: tuple[float, float] | None = None
    pairings: tuple[Pairing, ...] = ()

    def allows(self, documents: str, queries: str) -> bool:
        """Tell whether a pairing was measured and accepted; fp32 on both sides needs no measuring."""
        accepted = {(each.documents, each.queries) for each in self.pairings if each.accepted}
        return (documents, queries) in accepted | {("fp32", "fp32")}

    @property
    def queries(self) -> str | None:
        """The precision of queries to int8 documents: "int8", "fp32" where only that was accepted; None: refused."""
        if not self.pairings:
            return "int8"
        return next((queries for queries in ("int8", "fp32") if self.allows("int8", queries)), None)

    @property
    def verdict(self) -> str:
        """Return "accepted", "refused" or "unmeasured"."""
        return "unmeasured" if not self.pairings else "accepted" if self.queries else "refused"

    def mark(self, fingerprint: str) -> str:
        """Return the fingerprint of what this form makes of a model's documents, from that of its fp32 form."""
        return hashlib.blake2b(f"{fingerprint} int8 {self.calibration}".encode(), digest_size=16).hexdigest()

    def save(self) -> None:
        """Keep what was measured beside the form, for `read_int8`."""
        write_json(self.path / _RECORD, self.to_dict())

    def put_in_use(self) -> None:
        """Make this the int8 form of its model on this machine, with what was measured of it."""
        self.save()
        write_json(self.path.parent / _IN_USE, {"calibration": self.calibration})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-safe values."""
        judged = [{**asdict(each), "accepted": each.accepted} for each in self.pairings]
        return {**asdict(self), "path": str(self.path), "pairings": judged, "verdict": self.verdict}

    def __str__(self) -> str:
        lines = [
            f"int8 for {self.instructions}: {self.verdict}; calibrated on {self.texts} texts, {self.seconds:.0f} s"
        ]
        lines.append(f"{self.speed:.2f} times as fast as fp32")
        if self.cosines:
            lines.append("cosine of documents to fp32: mean {:.4f}, least {:.4f}".format(*self.cosines))
        return "\n".join([*lines, *map(str, self.pairings)])


def int8_folder(folder: ModelFolder) -> Path:
    """Return where the int8 forms of a model for this CPU lie: the kernels of another make other vectors."""
    return cache_folder(fingerprint(folder, dense_only=True)) / f"int8-{instruction_set()}"


def int8_of(folder: ModelFolder) -> Int8 | None:
    """Return the int8 form of a model that is in use on this machine; None: there is none, or it is damaged."""
    place = int8_folder(folder)
    try:
        return read_int8(place / read_json(place / _IN_USE)["calibration"])
    except (DragonFinetuneError, OSError, KeyError, TypeError):
        return None


def read_int8(path: Path) -> Int8 | None:
    """Return the int8 form in a folder; None: there is none, or it is damaged."""
    if not (path / "model.xml").is_file():
        return None
    try:
        record = read_json(path / _RECORD)
        pairings = [{name: value for name, value in each.items() if name != "accepted"} for each in record["pairings"]]
        return Int8(
            path=path,
            pairings=tuple(Pairing(**each) for each in pairings),
            cosines=record["cosines"] and tuple(record["cosines"]),
            **{name: record[name] for name in ("calibration", "texts", "seconds", "speed", "instructions", "parts")},
        )
    except (DragonFinetuneError, OSError, KeyError, TypeError):
        return None


def int8_in_use(folder: ModelFolder, options: EmbedderOptions) -> Int8 | None:
    """Return the int8 form that embeds documents under these options; None: they are embedded in another precision.

    `precision: int8` takes one that was accepted, or that nobody measured; `auto` takes one that was accepted and is
    faster than fp32, where `allow_int8` says that it may.

    Raises:
        ModelError: `precision: int8`, and there is none.
        SettingsError: `precision: int8`, and OpenVINO is not installed.
    """
    wanted = options.precision == "int8"
    if wanted and not has_openvino():
        raise SettingsError('precision is int8: pip install "dragon-finetune[openvino]".')
    may = options.precision == "auto" and options.allow_int8 and options.engine != "torch"
    if not wanted and not (may and (options.device or "cpu") == "cpu" and has_openvino() and not has_nvidia()):
        return None
    made = int8_of(folder)
    if made and options.truncate_dim:  # a part of a vector loses more than the whole, and nobody measured it
        made = replace(made, pairings=())
    if made is None and wanted:
        raise ModelError(
            f"precision is int8, and {folder.path} has no int8 form for this machine ({instruction_set()}). Make and "
            f"judge one: dragon-finetune quantize CHUNKS... --model {folder.path} --judged FILE."
        )
    return made if made and made.queries and (wanted or (made.pairings and made.speed > 1)) else None


def warn_of_int8(folder: ModelFolder, in_use: Int8 | None) -> None:
    """Say, where int8 was asked for by name, that it was refused or is not measured."""
    if in_use is None:
        warnings.warn(f"stepping back from int8 to fp32. {int8_of(folder)}", stacklevel=4)
    elif not in_use.pairings:
        warnings.warn(
            f"int8 of {folder.path} is unmeasured: nobody knows what it loses. Judge it: dragon-finetune quantize "
            "CHUNKS... --judged FILE.",
            stacklevel=4,
        )
