"""OpenAI's part: /v1/embeddings and /v1/models (platform.openai.com/docs/api-reference/embeddings)."""

import base64
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictInt, StrictStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dragon_finetune.serve.answers import answer, made_at
from dragon_finetune.serve.bodies import read_body
from dragon_finetune.serve.catalogue import Served
from dragon_finetune.serve.patience import while_connected
from dragon_finetune.serve.service import Service

PREFIX = "/v1/"


class _Embed(BaseModel):
    model: StrictStr
    input: StrictStr | list[StrictStr] | list[StrictInt] | list[list[StrictInt]] = Field(min_length=1)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: str | None = None


def routes() -> list[BaseRoute]:
    """Return what OpenAI's clients ask for."""
    return [
        Route("/v1/embeddings", _embeddings, methods=["POST"]),
        Route("/v1/models", _models),
        Route("/v1/models/{name:path}", _model),
    ]


def refused(status: int, message: str) -> dict[str, Any]:
    """Return the body of a refusal."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


async def _embeddings(request: Request) -> Response:
    service: Service = request.app.state.service
    asked = await read_body(request, _Embed)
    served = service.catalogue.find(asked.model, asked.input_type)
    texts = await _texts(service, served, asked.input)
    made = await while_connected(request, service.embed(served, texts, dimensions=asked.dimensions))
    as_text = asked.encoding_format == "base64"
    data = [
        # Little-endian float32, as OpenAI's client reads them.
        {"object": "embedding", "index": row, "embedding": _base64(vector) if as_text else vector}
        for row, vector in enumerate(made.vectors)
    ]
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
    return answer({"object": "list", "data": data, "model": asked.model, "usage": usage})


async def _texts(service: Service, served: Served, given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], str):
        return list(given)
    return await service.texts_of(served, [given] if isinstance(given[0], int) else given)


def _base64(vector: Any) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


async def _models(request: Request) -> Response:
    service: Service = request.app.state.service
    return answer({"object": "list", "data": [_entry(name, service) for name in service.catalogue.names]})


async def _model(request: Request) -> Response:
    service: Service = request.app.state.service
    return answer(_entry(request.path_params["name"], service))


def _entry(name: str, service: Service) -> dict[str, Any]:
    created = int(made_at(service.catalogue.find(name)).timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "dragon-finetune"}
