"""Who may ask: the key, and the name under which the server is called; and how every answer is counted."""

import hmac
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragon_finetune.serve.metering import Meter

# What holds no data: whether the server lives, and the page, which asks for the key itself.
_OPEN = ("/", "/health")
Refuse = Callable[[Request, int, str], Any]


class Gate:
    """Lets through who may ask, and counts every answer.

    Args:
        app: what answers.
        meter: what counts.
        paths: that are counted by their name; all others as "other".
        hosts: names under which the server may be called; None: any. A page of another site can make a browser ask a
            server on the loopback under that site's name (DNS rebinding).
        key: that must be given, as `Authorization: Bearer KEY` or `x-api-key: KEY`; None: none is needed.
        refuse: returns the answer of a refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        meter: Meter,
        paths: frozenset[str],
        hosts: frozenset[str] | None,
        key: str | None,
        refuse: Refuse,
    ) -> None:
        self._app, self._meter, self._paths, self._hosts = app, meter, paths, hosts
        self._key = key.encode() if key is not None else None
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        reason = self._reason(scope)
        app: Any = self._refuse(Request(scope), *reason) if reason else self._app
        try:
            await app(scope, receive, counted)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._meter.answered(path, status, time.perf_counter() - started)

    def _reason(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if self._hosts is not None and host.lower() not in self._hosts:
            return 403, f"this server is not called {host!r:.80}; call it {', '.join(sorted(self._hosts))}"
        if self._key is None or scope["path"] in _OPEN:
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
        if hmac.compare_digest(given.encode(), self._key):
            return None
        return 401, "a key is needed: Authorization: Bearer KEY (the server's --api-key)"
