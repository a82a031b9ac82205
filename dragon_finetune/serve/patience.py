"""Work for somebody who may hang up before it is done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from dragon_finetune.serve.request_error import RequestError

Done = TypeVar("Done")


async def while_connected(request: Request, work: Coroutine[Any, Any, Done]) -> Done:
    """Return what `work` returns; it is cancelled when the caller hangs up.

    Args:
        request: whose body has been read.
        work: what it waits for.

    Raises:
        RequestError: 499, as nginx calls it: nobody is left to read the answer.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RequestError(499, "the caller hung up")
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
