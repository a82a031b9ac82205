"""Requests that arrive together are embedded together: rounds of a bounded number of tokens, a part of each request."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.model_folder import Role
from dragon_finetune.serve.request_error import RequestError
from dragon_finetune.settings import OnOverflow

_PATIENCE = 0.002
"""Seconds to wait for company, where the last round had some: about what a loopback client needs to ask again."""
_SPARE = {"Retry-After": "1"}


class Item(NamedTuple):
    """A text to embed: its role, its tokens (prompt and special tokens included), and what its excess asks for."""

    text: str
    role: Role
    tokens: int
    on_overflow: OnOverflow


class _Waiting:
    """A request whose items are not all embedded yet."""

    def __init__(self, embedder: FineTunedEmbedder, items: Sequence[Item]) -> None:
        self.embedder, self.items = embedder, items
        self.taken = 0
        self.parts: list[Vectors] = []
        self.answer: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()

    def take(self, tokens: int) -> list[Item]:
        """Return the next items, at least one, that hold at most so many tokens."""
        start = self.taken
        while self.taken < len(self.items):
            tokens -= self.items[self.taken].tokens
            if tokens < 0 and self.taken > start:
                break
            self.taken += 1
        return list(self.items[start : self.taken])

    def give(self, vectors: Vectors) -> None:
        """Take the vectors of what was taken; with the last of them the request is answered."""
        self.parts.append(vectors)
        if self.taken == len(self.items) and not self.answer.done():
            self.answer.set_result(np.concatenate(self.parts))

    @property
    def over(self) -> bool:
        """Whether nothing is left to take, or nobody waits for it."""
        return self.taken == len(self.items) or self.answer.done()


class Gatherer:
    """Embeds what requests ask for, one round at a time in a thread of its own.

    A round holds `round_tokens` at most, of one model, a fair share of every request that waits: a long one does not
    keep short ones waiting for more than a round.

    Args:
        round_tokens: tokens in a round.
        max_waiting_tokens: tokens that may wait in all; beyond them requests are refused.
    """

    def __init__(self, *, round_tokens: int, max_waiting_tokens: int) -> None:
        self._round_tokens, self._max_waiting = round_tokens, max_waiting_tokens
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        self.rounds = 0

    @property
    def waiting_tokens(self) -> int:
        """Tokens that nobody has begun to embed."""
        return sum(item.tokens for each in self._waiting for item in each.items[each.taken :])

    async def embed(self, embedder: FineTunedEmbedder, items: Sequence[Item]) -> Vectors:
        """Return the vectors of the items, (items, dimension), in order.

        Raises:
            RequestError: 503, too much waits already.
            DataError: a vector is not finite; names the text.
        """
        if not items:
            return np.empty((0, embedder.dimension), dtype=np.float32)
        waits = self.waiting_tokens
        if waits and waits + sum(item.tokens for item in items) > self._max_waiting:
            raise RequestError(503, f"{waits:,} tokens wait already; ask again in a moment", _SPARE)
        request = _Waiting(embedder, items)
        self._waiting.append(request)
        self._arrived.set()
        try:
            return await request.answer
        finally:
            # Whoever asked may have hung up; then what is left of it is not embedded.
            request.answer.cancel()

    async def run(self) -> None:
        """Embed what waits, until cancelled."""
        company = False
        while True:
            await self._arrived.wait()
            if company:
                await asyncio.sleep(_PATIENCE)
            taken = self._take()
            company = len(taken) > 1
            if taken:
                await self._round(taken)

    def _take(self) -> list[tuple[_Waiting, list[Item]]]:
        self._waiting = [each for each in self._waiting if not each.over]
        if not self._waiting:
            self._arrived.clear()
            return []
        # The model of whoever waits longest; the others' turn comes when these are through or the list is turned.
        embedder = self._waiting[0].embedder
        together = [each for each in self._waiting if each.embedder is embedder]
        share = max(1, self._round_tokens // len(together))
        taken, left = [], self._round_tokens
        for request in together:
            if left <= 0:
                break
            items = request.take(max(share, left if request is together[-1] else 0))
            left -= sum(item.tokens for item in items)
            taken.append((request, items))
        served = {id(request) for request, _ in taken}
        self._waiting.sort(key=lambda each: id(each) in served)  # stable: those go behind the others
        return taken

    async def _round(self, taken: list[tuple[_Waiting, list[Item]]]) -> None:
        self.rounds += 1
        items = [item for _, part in taken for item in part]
        try:
            vectors = await self._in_thread(taken[0][0].embedder, items)
        except Exception:
            # One text must not cost the others their answer.
            for request, part in taken:
                await self._alone(request, part)
            return
        at = 0
        for request, part in taken:
            request.give(vectors[at : at + len(part)])
            at += len(part)

    async def _alone(self, request: _Waiting, items: list[Item]) -> None:
        try:
            request.give(await self._in_thread(request.embedder, items))
        except Exception as error:
            with suppress(asyncio.InvalidStateError):
                request.answer.set_exception(error)

    async def _in_thread(self, embedder: FineTunedEmbedder, items: Iterable[Item]) -> Vectors:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _embed, embedder, list(items))


def _embed(embedder: FineTunedEmbedder, items: list[Item]) -> Vectors:
    vectors = np.empty((len(items), embedder.dimension), dtype=np.float32)
    for role, on_overflow in {(item.role, item.on_overflow) for item in items}:
        rows = [row for row, item in enumerate(items) if (item.role, item.on_overflow) == (role, on_overflow)]
        vectors[rows] = embedder.encode([items[row].text for row in rows], role=role, on_overflow=on_overflow)
    return vectors
