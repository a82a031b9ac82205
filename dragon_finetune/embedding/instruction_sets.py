"""The instructions that decide how fast this CPU is in 8 bits and in bf16, and the limit that a host may set them."""

import os
import platform
from pathlib import Path

LIMITS = {"avx2": "AVX2", "avx2_vnni": "AVX2_VNNI", "avx512_vnni": "AVX512_CORE_VNNI"}
"""What oneDNN, and with it OpenVINO and torch, may be limited to, and the value of ONEDNN_MAX_CPU_ISA that does it
(oneDNN's "CPU Dispatcher Control"). It is read once, when the engine is imported."""
_LIMIT = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")

# From the least to the most: our name, what the CPU calls it (Linux), what torch calls it, oneDNN's names of the step.
_STEPS = (
    ("avx2", "avx2", "avx2", ("AVX2",)),
    ("avx2_vnni", "avx_vnni", "avx_vnni", ("AVX2_VNNI", "AVX2_VNNI_2")),
    ("avx512", "avx512bw", "avx512_bw", ("AVX512_CORE",)),
    ("avx512_vnni", "avx512_vnni", "avx512_vnni", ("AVX512_CORE_VNNI",)),
    ("avx512_bf16", "avx512_bf16", "avx512_bf16", ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512")),
    ("amx", "amx_int8", "amx_int8", ("AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16", "AVX10_1_512_AMX")),
)


def isa_limit() -> str:
    """Return the set to which oneDNN is limited in the environment, in its own words; "": not limited."""
    return next((value.upper() for name in _LIMIT if (value := os.environ.get(name))), "")


def instruction_set() -> str:
    """Return the highest set that this CPU has and its host allows.

    "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16" or "amx"; "other" on CPUs that have none of them.
    """
    limit = isa_limit()
    allowed = next((place for place, step in enumerate(_STEPS) if limit in step[3]), len(_STEPS))
    found = _flags()
    return next((name for name, *known, _ in reversed(_STEPS[: allowed + 1]) if found & {*known}), "other")


def _flags() -> set[str]:
    if platform.system() == "Linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
    import torch  # takes seconds; nothing lighter tells it on every system

    return {name for name, has in torch.cpu.get_capabilities().items() if has is True}
