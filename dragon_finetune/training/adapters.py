"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) through peft: put on for training, merged afterwards."""

from typing import TYPE_CHECKING

from dragon_finetune.errors import SettingsError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def add_adapters(model: "SentenceTransformer", rank: int) -> None:
    """Freeze the weights and put adapters of this rank on every linear layer.

    Raises:
        SettingsError: peft is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError:
        raise SettingsError(
            'lora_rank needs peft: pip install "dragon-finetune[lora]", or leave lora_rank out.'
        ) from None
    # alpha = 2 * rank keeps the size of an update the same whatever the rank (peft's own advice).
    model.add_adapter(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))


def merge_adapters(model: "SentenceTransformer") -> None:
    """Add the adapters to the weights and take them off: the model is of its plain classes again."""
    from peft.tuners.lora import LoraLayer

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    for name, layer in layers:
        layer.merge()
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer.get_base_layer())
    for module in model.modules():
        if getattr(module, "_hf_peft_config_loaded", False):
            module._hf_peft_config_loaded = False  # type: ignore[assignment]
            del module.peft_config
    model.requires_grad_(True)
