"""The body of a request, read within bounds of size and time, and checked against what the protocol has."""

import asyncio
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from dragon_finetune.serve.request_error import RequestError

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of a body: 2048 texts of 16 KB."""
_SECONDS = 60.0
Asked = TypeVar("Asked", bound=BaseModel)


async def read_body(request: Request, kind: type[Asked], max_bytes: int = MAX_BYTES) -> Asked:
    """Return what a request asks for.

    Args:
        request: of any size and speed.
        kind: the protocol's form.
        max_bytes: that are read at most.

    Raises:
        RequestError: 413 too large; 408 too slow; 400 no JSON, or not of this form, with the field and its value.
    """
    content = await _read(request, max_bytes)
    try:
        return kind.model_validate(_parsed(content))
    except ValidationError as error:
        first = error.errors()[0]
        # A union's branches are named in the place; the field is what the sender knows.
        field = str(first["loc"][0]) if first["loc"] else "the body"
        raise RequestError(400, f"{field}: {first['msg']}; found {first.get('input')!r:.80}") from None


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is no JSON: {error}") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise RequestError(408, f"the body did not come within {_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise RequestError(400, "the connection ended before the body did") from None
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    # The rest of the body is not read, so the connection can't be used again.
    return RequestError(413, f"the body has more than {max_bytes:,} bytes; send fewer texts", {"Connection": "close"})
