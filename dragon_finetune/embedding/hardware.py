"""What this machine has: accelerators, bf16, OpenVINO."""

import importlib.util
import os
import shutil
import sys

from dragon_finetune.embedding.openvino_import import load_openvino

_threads: int | None = None


def limit_threads(count: int) -> None:
    """Let engines that are opened from now on in this process compute with so many CPU threads."""
    global _threads
    _threads = count if count < (os.cpu_count() or 1) else None
    if _threads is not None and "torch" in sys.modules:
        import torch

        torch.set_num_threads(_threads)
    elif _threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(_threads)  # torch asks when it is imported, which takes seconds


def thread_limit() -> int | None:
    """Return how many CPU threads an engine may use; None: as many as there are cores."""
    return _threads


def fast_precisions(on_cpu: bool) -> list[str]:
    """Return the precisions of this machine, the fastest first; the last is fp32."""
    if on_cpu:
        return ["bf16", "fp32"] if _cpu_has_bf16() else ["fp32"]
    import torch

    if torch.cuda.is_available():
        return ["bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16", "fp32"]
    return ["fp32"]


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def openvino_version() -> str:
    """Return the installed version of OpenVINO, or "none"."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openvino")
    except PackageNotFoundError:
        return "none"


def has_nvidia() -> bool:
    """Tell whether an NVIDIA driver is here, without importing torch."""
    return shutil.which("nvidia-smi") is not None


def has_accelerator() -> bool:
    """Tell whether torch sees an accelerator."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _cpu_has_bf16() -> bool:
    if has_openvino():
        return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
