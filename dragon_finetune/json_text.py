"""JSON that holds only what JSON can hold, in both directions."""

import json
import math
from collections.abc import Mapping
from typing import Any

from dragon_finetune.errors import DataError


def parse(text: str, where: str, *, any_number: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the JSON.
        where: its place, for error messages.
        any_number: let NaN and Infinity through, as Python writes them: who reads it checks the numbers.

    Raises:
        DataError: it is no JSON, nests too deep, or holds a number that is none (NaN, Infinity, 1e999).
    """
    try:
        return json.loads(text) if any_number else json.loads(text, parse_constant=_refuse, parse_float=_float)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise DataError(f"{where}: not valid JSON ({error.msg} at {place}). Mend it.") from None
    except RecursionError:
        raise DataError(f"{where}: the JSON nests too deep. Mend it.") from None
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON ({error}). Mend it.") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits:.40} is no number")
    return value


def dump(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON; a float that is no number becomes null, for JSON has none."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
