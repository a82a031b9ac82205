"""The server's application: both protocols, the page, what it counts, and how a refusal is told."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.serve import ollama_protocol, openai_protocol
from dragon_finetune.serve.answers import answer
from dragon_finetune.serve.gate import Gate
from dragon_finetune.serve.metering import Meter
from dragon_finetune.serve.request_error import RequestError
from dragon_finetune.serve.service import Service


def build_app(
    service: Service, *, key: str | None = None, hosts: frozenset[str] | None = None, more: Sequence[BaseRoute] = ()
) -> Starlette:
    """Return the application.

    Args:
        service: what embeds.
        key: that callers must give (`gate.Gate`).
        hosts: names under which the server may be called (`gate.Gate`).
        more: further routes: the page.
    """
    meter = Meter(service.gatherer)
    routes: list[BaseRoute] = [
        *ollama_protocol.routes(),
        *openai_protocol.routes(),
        Route("/health", _health),
        Route("/metrics", _metrics),
        *more,
    ]
    paths = frozenset(str(getattr(route, "path", "")) for route in routes)
    app = Starlette(
        routes=routes,
        lifespan=_lifespan,
        middleware=[Middleware(Gate, meter=meter, paths=paths, hosts=hosts, key=key, refuse=_refuse)],
        exception_handlers={RequestError: _refused, HTTPException: _not_there, Exception: _failed},
    )
    app.router.redirect_slashes = False  # to wherever the caller's Host header says
    app.state.service, app.state.meter = service, meter
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    embedding = asyncio.create_task(app.state.service.gatherer.run())
    yield
    embedding.cancel()
    with suppress(asyncio.CancelledError):
        await embedding


async def _health(request: Request) -> Response:
    service: Service = request.app.state.service
    models = {served.name: served.card for served in service.catalogue}
    return answer({"status": "ok", "models": models, "waiting_tokens": service.gatherer.waiting_tokens})


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.meter.text(), media_type="text/plain; version=0.0.4")


def _refuse(request: Request, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer of a refusal in the form of the protocol whose path was asked for."""
    protocol: Any = openai_protocol if request.url.path.startswith(openai_protocol.PREFIX) else ollama_protocol
    return answer(protocol.refused(status, message), status, headers)


async def _refused(request: Request, error: Any) -> Response:
    return _refuse(request, error.status, error.message, error.headers)


async def _not_there(request: Request, error: Any) -> Response:
    told = f"{request.method} {request.url.path!r:.100}: {error.detail}"
    return _refuse(request, error.status_code, told, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, DragonFinetuneError):
        return _refuse(request, 500, str(error))
    traceback.print_exception(error)
    return _refuse(request, 500, f"a fault of dragon-finetune: {type(error).__name__}; the server's log has more")
