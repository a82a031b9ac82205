"""In which precision a device trains, and how much goes through the model at once."""

import torch

from dragon_finetune.training.config import TrainingConfig


def slice_tokens(config: TrainingConfig, device: torch.device) -> int:
    """Return the padded tokens that go through the model at once."""
    return config.slice_tokens or (1024 if device.type == "cpu" else 32768)


def pick_precision(config: TrainingConfig, device: torch.device) -> str:
    """Return "bf16" where the device computes it natively, else "fp16" on CUDA, else "fp32"; or what was asked for."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
    return "fp32"
