"""Whether a run's checkpoints and model fit on the disk, asked before it starts and said when they no longer did."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from dragon_finetune.errors import ModelError
from dragon_finetune.training.config import TrainingConfig

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_ADAM = 2  # numbers that the optimizer keeps for each number it trains


def bytes_needed(model: "SentenceTransformer", config: TrainingConfig, steps: int) -> int:
    """Return the most bytes that a run of so many steps has on the disk at once.

    Those are its checkpoints (weights and optimizer, one more than `save_total_limit` while the oldest is replaced),
    the weights of the best look, and the finished model.
    """
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    trained = sum(
        parameter.numel() * parameter.element_size() for parameter in model.parameters() if parameter.requires_grad
    )
    between = config.save_steps if config.save_steps >= 1 else max(1.0, config.save_steps * steps)
    checkpoints = min(config.save_total_limit + 1, int(steps / between) + 1)
    return checkpoints * (weights + _ADAM * trained) + 2 * weights


def require_room(model: "SentenceTransformer", config: TrainingConfig, steps: int, work: Path) -> None:
    """Refuse a run whose files would not fit beside what the work folder holds already.

    Raises:
        ModelError: says how much there is and how much it takes.
    """
    needed = bytes_needed(model, config, steps)
    there = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
    free = shutil.disk_usage(work).free
    if needed > there + free:
        raise ModelError(
            f"{work.parent} has {_gib(free)} GiB free, and this run needs {_gib(needed - there)} more for its "
            f"checkpoints and the model. Free some, choose another output folder, or lower save_total_limit "
            f"(now {config.save_total_limit})."
        )


@contextmanager
def saving_into(checkpoints: Path) -> Iterator[None]:
    """Say of a library's failure to write a checkpoint where it was, and how to go on.

    Raises:
        ModelError: the disk is full or the folder can't be written any more; earlier checkpoints are whole.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_of_writing(error):
            raise
        raise ModelError(
            f"{checkpoints}: a checkpoint could not be written ({str(error).splitlines()[0]}). Free some disk or mend "
            "the folder's rights, then run the same command again: it goes on from the last whole one."
        ) from error


def _is_of_writing(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO)
    # torch and safetensors write by code of their own, which has no error numbers.
    return isinstance(error, SafetensorError) or "inline_container" in str(error) or "PytorchStream" in str(error)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f}"
