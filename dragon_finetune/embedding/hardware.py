"""What this machine has: accelerators, bf16, OpenVINO."""

import importlib.util
import shutil


def fast_precisions(on_cpu: bool) -> list[str]:
    if on_cpu:
        return ["bf16", "fp32"] if _cpu_has_bf16() else ["fp32"]
    import torch

    if torch.cuda.is_available():
        return ["bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16", "fp32"]
    return ["fp32"]


def has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def openvino_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openvino")
    except PackageNotFoundError:
        return "none"


def has_nvidia() -> bool:
    return shutil.which("nvidia-smi") is not None


def has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _cpu_has_bf16() -> bool:
    if has_openvino():
        import openvino

        return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
