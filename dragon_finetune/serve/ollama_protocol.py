"""Ollama's part: /api/embed, /api/embeddings, /api/tags, /api/show, /api/ps, /api/version (docs/api.md of Ollama)."""

import time
from typing import Any

from pydantic import BaseModel, StrictStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dragon_finetune.model_layout import read_optional
from dragon_finetune.serve.answers import answer, made_at
from dragon_finetune.serve.bodies import read_body
from dragon_finetune.serve.catalogue import Served
from dragon_finetune.serve.patience import while_connected
from dragon_finetune.serve.service import Service

VERSION = "0.13.0"
"""The version of Ollama whose protocol this is: clients ask for it to know what they may send."""


class _Embed(BaseModel):
    model: StrictStr
    input: StrictStr | list[StrictStr]
    truncate: bool | None = None
    dimensions: int | None = None


class _Embeddings(BaseModel):
    model: StrictStr
    prompt: StrictStr


class _Show(BaseModel):
    model: StrictStr | None = None
    name: StrictStr | None = None


def routes() -> list[BaseRoute]:
    """Return what Ollama's clients ask for, as far as a model that only embeds can answer it."""
    return [
        Route("/api/embed", _embed, methods=["POST"]),
        Route("/api/embeddings", _embeddings, methods=["POST"]),
        Route("/api/show", _show, methods=["POST"]),
        Route("/api/tags", _tags),
        Route("/api/ps", _tags),
        Route("/api/version", _version),
    ]


def refused(status: int, message: str) -> dict[str, Any]:
    """Return the body of a refusal."""
    return {"error": message}


async def _embed(request: Request) -> Response:
    service: Service = request.app.state.service
    asked = await read_body(request, _Embed)
    served = service.catalogue.find(asked.model)
    # An empty input is Ollama's way of asking that the model be loaded.
    texts = [asked.input] if isinstance(asked.input, str) and asked.input else list(asked.input)
    started = time.perf_counter_ns()
    work = service.embed(served, texts, truncate=asked.truncate, dimensions=asked.dimensions)
    made = await while_connected(request, work)
    return answer(
        {
            "model": asked.model,
            "embeddings": list(made.vectors),
            "total_duration": time.perf_counter_ns() - started,
            "load_duration": 0,
            "prompt_eval_count": made.tokens,
        }
    )


async def _embeddings(request: Request) -> Response:
    service: Service = request.app.state.service
    asked = await read_body(request, _Embeddings)
    made = await while_connected(request, service.embed(service.catalogue.find(asked.model), [asked.prompt]))
    return answer({"embedding": made.vectors[0]})


async def _tags(request: Request) -> Response:
    service: Service = request.app.state.service
    return answer({"models": [_entry(name, service) for name in service.catalogue.names]})


async def _version(request: Request) -> Response:
    return answer({"version": VERSION})


async def _show(request: Request) -> Response:
    service: Service = request.app.state.service
    asked = await read_body(request, _Show)
    served = service.catalogue.find(asked.model or asked.name or "")
    card, family = served.card, _family(served)
    info = {
        "general.architecture": family,
        f"{family}.context_length": card["limit"],
        f"{family}.embedding_length": card["dimension"],
    }
    return answer(
        {
            "modelfile": f"# {served.name}, served by dragon-finetune",
            "parameters": _roles(served),
            "template": "{{ .Prompt }}",
            "details": _details(served),
            "model_info": info,
            "capabilities": ["embedding"],
            "modified_at": made_at(served).isoformat(),
            "dragon_finetune": card,
        }
    )


def _roles(served: Served) -> str:
    prompts = served.card["prompts"]
    roles = ", ".join(f"{served.name}:{role} puts {prompt!r} before a text" for role, prompt in prompts.items())
    return (
        f"{served.name} is the document role, except for a text that begins with the query prompt; {roles}. Texts over "
        f"{served.card['limit']} tokens are refused unless truncate is true."
    )


def _entry(name: str, service: Service) -> dict[str, Any]:
    served = service.catalogue.find(name)
    return {
        "name": name if ":" in name else f"{name}:latest",
        "model": name if ":" in name else f"{name}:latest",
        "modified_at": made_at(served).isoformat(),
        "size": sum(file.stat().st_size for file in served.embedder.folder.path.glob("*.safetensors")),
        "digest": served.card["fingerprint"],
        "details": _details(served),
    }


def _details(served: Served) -> dict[str, Any]:
    family = _family(served)
    quantization = served.card["engine"].rpartition("-")[2].upper()
    return {"format": "safetensors", "family": family, "families": [family], "quantization_level": quantization}


def _family(served: Served) -> str:
    return str(read_optional(served.embedder.folder.path / "config.json").get("model_type", "embedding"))
