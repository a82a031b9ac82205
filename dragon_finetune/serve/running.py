"""The server as a process: its port, its models warm before anyone is answered, and its end."""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uvicorn
from starlette.routing import BaseRoute

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import SettingsError
from dragon_finetune.serve.app import build_app
from dragon_finetune.serve.catalogue import Catalogue
from dragon_finetune.serve.gathering import Gatherer
from dragon_finetune.serve.service import Service
from dragon_finetune.settings import OnOverflow

_ROUND_BATCHES = 4
"""Batches of the engine's budget in a round: enough to sort texts by length, few enough that nobody waits long."""
_WAITING_ROUNDS = 256
_GRACE_SECONDS = 30
_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@dataclass(frozen=True)
class Address:
    """Where the server listens, and the key that it asks for.

    Raises:
        SettingsError: no such port; the address is not the loopback's and there is no key; or the key is empty.
    """

    host: str = "127.0.0.1"
    port: int = 11435
    key: str | None = None

    def __post_init__(self) -> None:
        if self.key is not None and (not self.key.strip() or not self.key.isascii()):
            raise SettingsError("--api-key must be ASCII characters, and not only white space.")
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"--port is {self.port}; it is 1 to 65535, or 0 for any that is free.")
        if not self.is_loopback and self.key is None:
            raise SettingsError(
                f"--host {self.host} lets other machines in: give --api-key (or DRAGON_FINETUNE_API_KEY), or listen on "
                "127.0.0.1."
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can ask."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def names(self) -> frozenset[str] | None:
        """What the server may be called (`gate.Gate`)."""
        return frozenset({"localhost", "127.0.0.1", "[::1]", self.host}) if self.is_loopback else None

    def bind(self) -> socket.socket:
        """Return a socket that has the address for itself.

        Raises:
            SettingsError: it is taken, or not this machine's.
        """
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            # With its protocol named, asyncio sends each part of an answer at once (TCP_NODELAY); else the second
            # part waits for the client's delayed acknowledgement of the first, 40 ms.
            bound = socket.socket(family, kind, protocol)
            if os.name == "posix":  # elsewhere it would let two servers have one port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(place)
        except OSError as error:
            raise SettingsError(
                f"{self.host}:{self.port} can't be listened on ({error}). Give another --port, or stop what has it."
            ) from None
        return bound


def serve(
    models: Mapping[str, FineTunedEmbedder],
    address: Address,
    *,
    on_overflow: OnOverflow = "error",
    more: Callable[[], Sequence[BaseRoute]] = list,
) -> None:
    """Serve models until the process is told to stop; what is asked by then is answered first.

    Args:
        models: by name; the first says how much is embedded at once.
        address: where.
        on_overflow: what to do with a text over the limit where the request does not say.
        more: makes further routes, the page, when the address is had: its corpus may take long.

    Raises:
        SettingsError: the address is taken; before a model is loaded.
        ModelError: a model can't be read.
    """
    bound = address.bind()
    catalogue = Catalogue(models)
    routes = more()
    for served in catalogue:
        served.embedder.encode(["warm"], role="document")
    asyncio.run(_serve(bound, catalogue, address, on_overflow, routes))


async def _serve(
    bound: socket.socket, catalogue: Catalogue, address: Address, on_overflow: OnOverflow, more: Sequence[BaseRoute]
) -> None:
    first = next(iter(catalogue)).embedder.dense
    round_tokens = _ROUND_BATCHES * first.budget
    gatherer = Gatherer(round_tokens=round_tokens, max_waiting_tokens=_WAITING_ROUNDS * round_tokens)
    app = build_app(Service(catalogue, gatherer, on_overflow), key=address.key, hosts=address.names, more=more)
    config = uvicorn.Config(
        app,
        http="h11",  # bounds the headers that it reads (64 KB), and is installed everywhere
        ws="none",
        lifespan="on",
        log_level="error",  # what is no request is answered; to tell of each would fill the log, or stop on it
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    for each in _STOPS:
        # uvicorn raises a signal again once it has stopped; a server that was told to stop has not failed.
        signal.signal(each, lambda *_: None)
    bound.listen(config.backlog)  # whoever reads the next line may ask at once
    host, port = bound.getsockname()[:2]
    print(f"serving {', '.join(catalogue.names)} on http://{host}:{port}", file=sys.stderr, flush=True)
    await uvicorn.Server(config).serve(sockets=[bound])
