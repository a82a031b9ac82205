"""Answers in JSON, and when a model was made."""

from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

from dragon_finetune.serve.catalogue import Served


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON; arrays of float32 are written by the digits that give the same float32 again."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def made_at(served: Served) -> datetime:
    """Return when the model folder was written, in UTC."""
    return datetime.fromtimestamp(served.embedder.folder.path.stat().st_mtime, UTC)
