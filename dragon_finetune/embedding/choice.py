"""Which engine embeds: the fastest that this machine has and that agrees with fp32 on probe texts."""

import contextlib
import platform
import shutil
import warnings
from collections.abc import Callable

from dragon_finetune.embedding.cache import PLACE, cache_folder, recall, remember
from dragon_finetune.embedding.conversion import CONVERTED, convert
from dragon_finetune.embedding.engine import Engine, Vectors
from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.hardware import (
    fast_precisions,
    has_accelerator,
    has_nvidia,
    has_openvino,
    openvino_version,
)
from dragon_finetune.embedding.instruction_sets import isa_limit
from dragon_finetune.embedding.int8 import Int8
from dragon_finetune.embedding.openvino_engine import Int8Engine, OpenVinoEngine
from dragon_finetune.embedding.probes import fastest_budget, probes
from dragon_finetune.embedding.torch_engine import TorchEngine
from dragon_finetune.errors import DataError, DragonFinetuneError, ModelError, SettingsError
from dragon_finetune.locks import held
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.progress import progress

_MIN_COSINE = 0.999
_BUDGETS = {"cpu": (512, 1024, 2048, 4096), "accelerator": (8192, 16384, 32768, 65536)}
_DEFAULT_BUDGET = {"cpu": 1024, "accelerator": 16384}


class EngineChoice:
    """Chooses and holds the engine of one model.

    Args:
        folder: the model.
        load: returns the torch model; called only where it is needed.
        engine: "auto", "torch" or "openvino".
        precision: "auto", "fp32", "bf16" or "fp16". Anything but auto is taken at its word, unchecked.
        device: a torch device name, or None for the best at hand. OpenVINO runs on the CPU only.
        int8: the int8 form that embeds in place of all that (`int8.int8_in_use`).

    Raises:
        SettingsError: a combination that can't be.
    """

    def __init__(
        self,
        folder: ModelFolder,
        load: "Callable[[], object]",
        *,
        engine: str,
        precision: str,
        device: str | None,
        int8: Int8 | None = None,
    ) -> None:
        if engine == "openvino" and (precision == "fp16" or (device or "cpu") != "cpu"):
            raise SettingsError(f"OpenVINO runs here on the CPU in fp32 or bf16, not in {precision} on {device}.")
        if engine == "openvino" and not has_openvino():
            raise SettingsError('engine is openvino: pip install "dragon-finetune[openvino]".')
        self._folder, self._load_model = folder, load
        self._engine, self._precision, self._device = engine, precision, device
        self._cache = cache_folder(fingerprint(folder, dense_only=True))
        self._int8 = int8
        machine = (platform.machine(), openvino_version(), str(has_nvidia()), *filter(None, [isa_limit()]))
        self._key = "|".join((engine, precision, device or "auto", *machine))

    def open(self) -> Engine:
        """Return the engine: the one remembered for this machine, or the first candidate that agrees with fp32."""
        if self._int8:
            queries = self._build("openvino-fp32") if self._int8.queries == "fp32" else None
            return Int8Engine(self._int8.path, queries)  # type: ignore[arg-type]
        remembered = recall(self._cache, f"engine {self._key}")
        if remembered:
            try:
                return self._build(remembered)
            except (DragonFinetuneError, RuntimeError, OSError) as error:
                warnings.warn(
                    f"the remembered engine {remembered} no longer works ({error}); choosing again.", stacklevel=2
                )
        # One process at a time converts, compiles and compares: a second would do it again, in the same folder.
        with contextlib.ExitStack() as alone:
            with contextlib.suppress(DataError):  # where nothing can be written, nobody shares it
                alone.enter_context(held(self._cache / CONVERTED, wait=True))
            engine = self._choose()
            remember(self._cache, f"engine {self._key}", engine.name)
        return engine

    def budget(self, engine: Engine) -> int:
        """Return the tokens per padded batch at which `engine` was fastest here, measured once and remembered."""
        key = f"budget {engine.name} {self._key}"
        known = recall(self._cache, key)
        if not known:
            known = fastest_budget(engine, _BUDGETS[self._kind(engine)], self._folder.limit)
            remember(self._cache, key, known)
        return int(known)

    def default_budget(self, engine: Engine) -> int:
        """Return the budget for calls that are too short to be worth measuring."""
        return int(recall(self._cache, f"budget {engine.name} {self._key}") or _DEFAULT_BUDGET[self._kind(engine)])

    def _kind(self, engine: Engine) -> str:
        return "cpu" if engine.name.startswith("openvino") or self._torch_device() == "cpu" else "accelerator"

    def _torch_device(self) -> str:
        return str(self._load_model().device.type)  # type: ignore[attr-defined]

    def _choose(self) -> Engine:
        candidates = self._candidates()
        if len(candidates) == 1:
            return self._build(candidates[0])
        reference: Vectors | None = None
        for name in candidates:
            if name == candidates[-1]:
                break
            try:
                engine = self._build(name)
                reference = self._reference() if reference is None else reference
                cosine = float((engine.embed(probes(), "", None) * reference).sum(axis=1).min())
            except Exception as error:  # whatever a converter or a kernel raises, torch in fp32 still works
                warnings.warn(f"{name} does not work with {self._folder.path.name}: {error}", stacklevel=3)
                continue
            if cosine >= _MIN_COSINE:
                return engine
            warnings.warn(f"{name} reaches cosine {cosine:.5f} to fp32 only; stepping back from it.", stacklevel=3)
        return self._build(candidates[-1])

    def _reference(self) -> Vectors:
        return TorchEngine(self._load_model(), "fp32").embed(probes(), "", None)  # type: ignore[arg-type]

    def _candidates(self) -> list[str]:
        """Return engine names, the fastest first; the last needs no check."""
        if self._precision != "auto" and self._engine != "auto":
            return [f"{self._engine}-{self._precision}"]
        on_cpu = (self._device or "cpu") == "cpu" and not (self._device is None and has_accelerator())
        precisions = [self._precision] if self._precision != "auto" else fast_precisions(on_cpu)
        openvino = on_cpu and self._engine != "torch" and has_openvino()
        names = [f"openvino-{precision}" for precision in precisions if openvino and precision != "fp16"]
        if self._engine == "openvino":
            return names
        return names + [f"torch-{precision}" for precision in precisions if not (names and precision == "bf16")]

    def _build(self, name: str) -> Engine:
        kind, precision = name.split("-")
        if kind == "torch":
            return TorchEngine(self._load_model(), precision)  # type: ignore[arg-type]
        target = self._cache / CONVERTED
        if (target / "model.xml").is_file() and not self._folder.routed:
            try:
                return OpenVinoEngine(target, precision).open()
            except RuntimeError as error:
                warnings.warn(f"the converted model in {target} is damaged and made anew: {error}", stacklevel=3)
                shutil.rmtree(target)
        try:
            with progress(total=1, desc="convert to OpenVINO, once", unit="model") as bar:
                convert(self._load_model(), target)  # type: ignore[arg-type]
                bar.update(1)
        except OSError as error:
            raise ModelError(
                f"the converted model can't be kept in {target} ({error}). Set {PLACE} to a folder that can be "
                "written, or engine to torch."
            ) from error
        return OpenVinoEngine(target, precision).open()
