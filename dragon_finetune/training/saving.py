"""A trained model saved as a complete folder, with its card."""

from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from dragon_finetune.embedding.chatter import libraries_quiet
from dragon_finetune.embedding.model_forms import write_older_form
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.training.config import TrainingConfig


def save_model(model: SentenceTransformer, path: Path, folder: ModelFolder) -> None:
    """Save a model as a complete folder in fp32 safetensors, with the prompts and the limit it was used with.

    It is in the form that other programs read too (`model_forms`).
    """
    model.prompts = {"query": folder.prompts.query, "document": folder.prompts.document}
    model.default_prompt_name = None
    with libraries_quiet():
        model.save_pretrained(str(path), create_model_card=False)
    write_older_form(path)


def model_card(config: TrainingConfig, result: dict[str, Any]) -> str:
    """Return the README of a trained folder."""
    scores = "".join(f"- validation nDCG@10, {name}: {score:.4f}\n" for name, score in result["validation"].items())
    holds = "the texts" if config.training_texts == "full" else "hashes of the texts"
    return (
        "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\n---\n"
        f"# {config.output_dir.name}\n\n"
        f"{config.base_model} fine-tuned with dragon-finetune on {result['pairs']['training']} pairs; "
        f"{result['pairs']['validation']} were held back.\n\n- weights kept: {result['kept']}\n{scores}"
        f"- epochs {config.epochs}, learning rate {config.learning_rate}, batch {config.batch_size} x "
        f"{config.gradient_accumulation_steps}, seed {config.seed}\n"
        f"- training_queries.jsonl holds {holds} that it was trained on\n"
    )
