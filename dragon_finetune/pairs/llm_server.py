"""One question to an Ollama server, which may be slow, broken or somebody else: size, time and shape are bounded."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

_MOST_BYTES = 1 << 20  # of one answer; a question of a dozen words takes a thousandth of it


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever is asked is whom the person named: another host's answer would become training data."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def ask_server(url: str, body: dict[str, Any], seconds: float) -> str:
    """Return the text that the server at `url` (its /api/generate) answers to `body`.

    Args:
        url: http or https.
        body: of the request, as Ollama wants it.
        seconds: for all of it: finding the host, connecting, and the last byte of the answer.

    Raises:
        OSError: the server can't be reached, refuses, redirects or does not end in time.
        ValueError: the answer is too long, or not what Ollama answers; says what it is.
    """
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return _text_of(_within(request, seconds))


def _within(request: urllib.request.Request, seconds: float) -> bytes:
    """Return the body of the answer. A socket's timeout counts from byte to byte, so a thread counts the whole."""
    got: list[bytes | Exception] = []
    deadline = time.monotonic() + seconds

    def fetch() -> None:
        try:
            got.append(_read(request, deadline))
        except Exception as error:
            got.append(error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(seconds)
    if not got:
        raise TimeoutError(f"no whole answer within {seconds:g} seconds")
    if isinstance(got[0], urllib.error.HTTPError):
        got[0].close()
        if 300 <= got[0].code < 400:
            raise OSError(f"it redirects ({got[0].code}), which is not followed: give the address that it redirects to")
    if isinstance(got[0], http.client.HTTPException):
        raise ValueError(f"no HTTP answer: {type(got[0]).__name__}")
    if isinstance(got[0], Exception):
        raise got[0]
    return got[0]


def _read(request: urllib.request.Request, deadline: float) -> bytes:
    body = bytearray()
    with _OPENER.open(request, timeout=max(deadline - time.monotonic(), 0.01)) as answer:
        while time.monotonic() < deadline and (part := answer.read1(1 << 16)):
            body += part
            if len(body) > _MOST_BYTES:
                raise ValueError(f"the answer has more than {_MOST_BYTES:,} bytes")
    if time.monotonic() >= deadline:
        raise TimeoutError("the answer did not end in time")
    return bytes(body)


def _text_of(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except RecursionError:
        raise ValueError("the answer is nested too deep") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), str):
        raise ValueError(f'the answer is not {{"response": "..."}} but {body[:60]!r}')
    text: str = answer["response"]
    text.encode()  # a lone surrogate can be in no file
    return text
