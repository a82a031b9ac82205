"""The page at `/`, on which the models are tried side by side, and what it asks for."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, Field, StrictInt, StrictStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.serve.answers import answer
from dragon_finetune.serve.bodies import read_body
from dragon_finetune.serve.catalogue import Served
from dragon_finetune.serve.corpus import Corpus, Found
from dragon_finetune.serve.excerpt import asked_words, excerpt
from dragon_finetune.serve.patience import while_connected
from dragon_finetune.serve.request_error import RequestError
from dragon_finetune.serve.service import Service

_MAX_HITS = 50
_MAX_BYTES = 1024 * 1024


class _Search(BaseModel):
    query: StrictStr
    k: StrictInt = Field(10, ge=1, le=_MAX_HITS)


def routes(corpus: Corpus | None) -> list[BaseRoute]:
    """Return the page and what it asks for.

    Args:
        corpus: what is searched; None: the page says how to give one.
    """
    trial = _Trial(corpus)
    page = files("dragon_finetune.serve").joinpath("page.html").read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": _policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return [
        # Made for each answer: middleware writes into it.
        Route("/", lambda _: Response(page, headers=headers, media_type="text/html")),
        Route("/try/models", trial.models),
        Route("/try/search", trial.search, methods=["POST"]),
    ]


@dataclass(frozen=True)
class _Trial:
    corpus: Corpus | None

    async def models(self, request: Request) -> Response:
        service: Service = request.app.state.service
        corpus = self.corpus
        models = [{"name": served.name, **served.card, **self._origin(served)} for served in service.catalogue]
        about = {"name": corpus.name, "chunks": len(corpus.chunks), "note": corpus.note} if corpus else None
        return answer({"models": models, "corpus": about, "max_hits": _MAX_HITS})

    async def search(self, request: Request) -> Response:
        service: Service = request.app.state.service
        asked = await read_body(request, _Search, _MAX_BYTES)
        if self.corpus is None:
            raise RequestError(404, "there is no corpus to search: start the server with --chunks FILE")
        queries = await while_connected(request, _embedded(service, asked.query))
        return answer(await asyncio.to_thread(_columns, self.corpus, asked, queries))

    def _origin(self, served: Served) -> dict[str, Any]:
        column = self.corpus.columns[served.name] if self.corpus else None
        return {"origin": column.origin, "stale": column.stale} if column else {}


async def _embedded(service: Service, query: str) -> dict[str, Vectors]:
    """Return the query's vector by model."""
    # One after the other: a round is of one model anyway, and the first that refuses is the one that is named.
    models = [Served(served.name, served.embedder, "query") for served in service.catalogue]
    return {served.name: (await service.embed(served, [query])).vectors[0] for served in models}


def _columns(corpus: Corpus, asked: _Search, queries: Mapping[str, Vectors]) -> dict[str, Any]:
    found = {model: corpus.nearest(model, query, asked.k) for model, query in queries.items()}
    words = asked_words(asked.query, corpus.endings)
    shown = {
        each.place: asdict(excerpt(corpus.chunks[each.place].text, words, corpus.endings))
        for hits in found.values()
        for each in hits
    }
    columns = []
    for model, hits in found.items():
        elsewhere = [[hit.place for hit in others] for other, others in found.items() if other != model]
        shown_hits = [{**_hit(corpus, hit, elsewhere), **shown[hit.place]} for hit in hits]
        columns.append({"model": model, "hits": shown_hits})
    return {"query": asked.query, "chunks": len(corpus.chunks), "columns": columns}


def _hit(corpus: Corpus, hit: Found, elsewhere: list[list[int]]) -> dict[str, Any]:
    """Return what is told of a hit, with its rank in the other model's list, from 1; `only`: it is not there."""
    ranks = [places.index(hit.place) + 1 for places in elsewhere if hit.place in places]
    return {
        "id": corpus.chunks[hit.place].id,
        "distance": hit.distance,
        "only": bool(elsewhere) and not ranks,
        "rank_there": ranks[0] if ranks else None,
    }


def _policy(page: str) -> str:
    """Return the Content-Security-Policy that lets the page's own script and style run, and nothing else."""
    script, style = (_hashed(page, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def _hashed(page: str, tag: str) -> str:
    inside = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in inside)
