"""Minutes of load on `dragon-finetune serve` by good callers and bad ones: does it leak, err, or leave one unanswered?

    pip install "dragon-finetune[demo,serve]"
    python examples/benchmarks/soak_serve.py [--model embedded] [--minutes 10] [--clients 16]

Over the loopback only. Good callers ask single questions of the example codex, and every answer is compared with the
embedder's own vector. Beside them one that hangs up in the middle of its request, one that sends half a body and waits,
one that reads its answer a byte at a time, and one that sends garbage. Printed every half minute: answers, wrong ones,
callers that got none, and the server's memory (RSS, MB). The last line compares the memory of the last fifth with that
of the second: the first is warming up.
"""

import argparse
import asyncio
import contextlib
import json
import random
import time
from pathlib import Path

import numpy as np
import psutil
from bench_serve import DATA, Load, client_head, ours, read

from dragon_finetune import FineTunedEmbedder


class Soak:
    """Callers of a server, and what became of them."""

    def __init__(self, url: str, load: Load, until: float) -> None:
        self.url, self.load, self.until = url, load, until
        self.answers = self.wrong = self.unanswered = 0
        self.bodies = [json.dumps({"model": "ours:query", "input": texts}).encode() for texts in load.requests]
        self.place, self.head = client_head(url)

    def request(self, number: int) -> bytes:
        body = self.bodies[number]
        return self.head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.place)

    async def good(self, seed: int) -> None:
        draw = random.Random(seed)
        reader, writer = await self.connect()
        while time.monotonic() < self.until:
            number = draw.randrange(len(self.bodies))
            writer.write(self.request(number))
            try:
                answer = json.loads(await asyncio.wait_for(read(reader), 60))
            except (TimeoutError, AssertionError, asyncio.IncompleteReadError, ConnectionError):
                self.unanswered += 1
                reader, writer = await self.connect()
                continue
            self.answers += 1
            vector = np.array(answer["data"][0]["embedding"])
            self.wrong += float(vector @ self.load.vectors[number][0]) < 0.9999
        writer.close()

    async def bad(self, behave) -> None:
        while time.monotonic() < self.until:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                reader, writer = await self.connect()
                await asyncio.wait_for(behave(reader, writer), 30)
                writer.transport.abort()
            await asyncio.sleep(0.05)

    async def hangs_up(self, reader, writer) -> None:
        writer.write(self.request(0))
        await asyncio.sleep(0.005)

    async def waits(self, reader, writer) -> None:
        writer.write(self.request(1)[:-5])
        await asyncio.sleep(5)

    async def reads_slowly(self, reader, writer) -> None:
        writer.write(self.request(2))
        for _ in range(200):
            await reader.read(1)
            await asyncio.sleep(0.02)

    async def babbles(self, reader, writer) -> None:
        writer.write(random.randbytes(2000) + b"\r\n\r\n")
        await reader.read(100)


async def soak(url: str, load: Load, minutes: float, clients: int, process: psutil.Process) -> None:
    soaked = Soak(url, load, time.monotonic() + 60 * minutes)
    bad = (soaked.hangs_up, soaked.waits, soaked.reads_slowly, soaked.babbles)
    callers = [*(soaked.good(seed) for seed in range(clients)), *(soaked.bad(each) for each in bad)]
    work, sizes = asyncio.gather(*callers), []
    while not work.done():
        for _ in range(10):
            await asyncio.wait([work], timeout=3)
            sizes.append(process.memory_info().rss / 2**20)
        print(
            f"{soaked.answers:,} answers, {soaked.wrong} wrong, {soaked.unanswered} unanswered, {sizes[-1]:,.0f} MB",
            flush=True,
        )
    await work
    fifth = max(1, len(sizes) // 5)
    early, late = np.mean(sizes[fifth : 2 * fifth]), np.mean(sizes[-fifth:])
    print(f"memory {early:,.0f} MB, at the end {late:,.0f} MB: {late / early - 1:+.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    asked = json.loads((Path(DATA) / "testing" / "judged_200.json").read_text(encoding="utf-8"))["questions"]
    load = Load("query", FineTunedEmbedder(options.model), [[question["question"]] for question in asked], "query")
    with ours(options.model) as (url, number):
        asyncio.run(soak(url, load, options.minutes, options.clients, psutil.Process(number)))


if __name__ == "__main__":
    main()
