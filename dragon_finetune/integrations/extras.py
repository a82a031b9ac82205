"""What is said where a framework is not installed."""

from dragon_finetune.errors import MissingExtraError


def missing(extra: str, error: ImportError) -> MissingExtraError:
    """Return the error that names what could not be imported, and the line that installs it."""
    return MissingExtraError(f'{error}. To have it: pip install "dragon-finetune[{extra}]"', name=error.name)
