"""One question to an Ollama server: bounded in time and size, and answered by nobody else."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from dragon_finetune.errors import DataError
from dragon_finetune.json_text import parse

_LARGEST_ANSWER = 1 << 20  # bytes; a query has some hundred


def generate(url: str, body: Mapping[str, Any], timeout: float) -> str:
    """Return what the server wrote (`/api/generate`).

    Args:
        url: of the server.
        body: of the request, with the model and the prompt.
        timeout: seconds for the whole answer, not just from byte to byte.

    Raises:
        DataError: the server can't be reached, sends us elsewhere, or gives no such answer within time and size.
    """
    deadline = time.monotonic() + timeout
    try:
        # A redirect would let another host's words become training data.
        with (
            httpx.Client(timeout=timeout, follow_redirects=False) as client,
            client.stream("POST", f"{url.rstrip('/')}/api/generate", json=dict(body)) as answer,
        ):
            content = _read(answer, deadline)
            if not answer.is_success:
                raise DataError(f"it answers {answer.status_code}: {content[:200].decode(errors='replace')!r}")
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        raise DataError(f"{type(error).__name__}: {error}") from error
    written = parse(_decoded(content), "its answer")
    if not isinstance(written, dict) or not isinstance(written.get("response"), str):
        raise DataError(f"its answer holds no text under 'response': {content[:200].decode(errors='replace')!r}")
    return str(written["response"])


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"its answer is not UTF-8 ({error})") from None


def _read(answer: httpx.Response, deadline: float) -> bytes:
    content = bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > _LARGEST_ANSWER:
            raise DataError(f"its answer is longer than {_LARGEST_ANSWER:,} bytes")
        if time.monotonic() > deadline:
            raise DataError("its answer does not end in time")
    return bytes(content)
