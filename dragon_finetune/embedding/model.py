"""Loading a sentence-transformers folder."""

import math
import threading
import warnings
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer

from dragon_finetune import files
from dragon_finetune.embedding.chatter import libraries_quiet, missing_weights
from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.routes import input_modules
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import ModelFolder

_LOADED: dict[tuple[str, ...], SentenceTransformer] = {}
_LOADING = threading.Lock()


def load_model(
    folder: ModelFolder,
    *,
    device: str | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
) -> SentenceTransformer:
    """Return the model of `folder` in fp32 and evaluation mode, with the folder's limit.

    Args:
        folder: an open model folder.
        device: a torch device name; default: the best one at hand.
        trust_remote_code: run code that the model's author wrote; only with a pinned `revision`.
        revision: the hub revision of that code.

    Raises:
        ModelError: the folder can't be loaded, or remote code is asked for without a revision.

    Warns of weights that the folder lacks.
    """
    if trust_remote_code and not revision:
        raise ModelError("trust_remote_code runs code from the hub: pin it with `revision: <commit>`.")
    try:
        with libraries_quiet() as said:
            model = SentenceTransformer(
                str(folder.path),
                device=device,
                trust_remote_code=trust_remote_code,
                revision=revision,
                local_files_only=True,
                # transformers 5 would load the stored dtype; half-precision weights neither train nor compare well.
                model_kwargs={"dtype": torch.float32},
            )
    except Exception as error:
        raise ModelError(f"{folder.path} can't be loaded: {type(error).__name__}: {error}") from error
    _warn_of(missing_weights(said), folder)
    for module in input_modules(model):
        if folder.limit is not None and module.max_seq_length != math.inf:  # a static encoder has no limit to set
            module.max_seq_length = folder.limit
        _give_padding(module.tokenizer, folder)
    if files.OPEN_FILES_STAY:
        _let_go_of_its_files(model)
    return model.eval()


def _let_go_of_its_files(model: SentenceTransformer) -> None:
    """Copy weights that are the mapped file itself, which could not be replaced or moved while the model lives."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def _warn_of(lacking: list[str], folder: ModelFolder) -> None:
    if lacking:
        warnings.warn(
            f"{folder.path} holds no weights for {', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''}: they "
            "are random, and so is every vector. Copy the model again.",
            stacklevel=3,
        )


def cached_model(folder: ModelFolder, **options: Any) -> SentenceTransformer:
    """Return `load_model(folder, **options)`, the same object for the same files: hosts build several embedders."""
    key = (fingerprint(folder, dense_only=True), str(folder.path.resolve()), *map(str, sorted(options.items())))
    with _LOADING:
        if key not in _LOADED:
            _LOADED[key] = load_model(folder, **options)
        return _LOADED[key]


# Padding is masked, so any token will do that the model has a vector for.
_CAN_PAD = ("pad_token", "eos_token", "unk_token", "sep_token", "cls_token", "bos_token")


def _give_padding(tokenizer: Any, folder: ModelFolder) -> None:
    """Let a tokenizer without a padding token pad with another of its special tokens: batches need one in torch."""
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
        return
    token = next((value for name in _CAN_PAD if (value := getattr(tokenizer, name, None))), None)
    if token is None:
        raise ModelError(
            f"{folder.path}: its tokenizer has no padding token, and none of {', '.join(_CAN_PAD[1:])} to use in its "
            "place. Set pad_token in tokenizer_config.json to one of its tokens."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = token
