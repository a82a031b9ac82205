"""What `dragon-finetune serve` carries: latency and throughput at 1, 8 and 64 clients, beside other servers.

    pip install "dragon-finetune[demo,serve]"
    python examples/benchmarks/bench_serve.py [--model embedded] [--seconds 10] [--peer NAME=http://127.0.0.1:7997/v1]

Clients are coroutines of one other process that keep their connections and ask again as soon as they are answered
(closed loop), for single queries (a question of the example codex) and for batches of 32 (its chunks), each answer
checked against the embedder's own vectors. Over the loopback only, OpenAI's protocol. p50 and p99 in ms, requests/s,
and tokens/s as the embedder counts them. "bulk" is `FineTunedEmbedder.encode` over the same chunks, and "direct" one
`embed_query` at a time, both in this process. A peer serves the same model under the name that --peer-model says.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import read_chunks

DATA = Path(__file__).parents[1] / "dragons_codex" / "data"
CLIENTS = (1, 8, 64)


class Load:
    """Texts by request, with the vectors that must come back and the tokens that they cost."""

    def __init__(self, name: str, embedder: FineTunedEmbedder, requests: list[list[str]], role: str) -> None:
        self.name, self.requests, self.role = name, requests, role
        self.vectors = [embedder.encode(texts, role=role) for texts in requests]
        self.tokens = [sum(embedder.dense.counts(texts, role)) for texts in requests]


def loads(embedder: FineTunedEmbedder) -> list[Load]:
    asked = json.loads((DATA / "testing" / "judged_200.json").read_text(encoding="utf-8"))["questions"]
    texts = [chunk.text for chunk in read_chunks(sorted((DATA / "chunks").glob("*.jsonl")))]
    fitting = [text for text in texts if embedder.dense.counts([text], "document")[0] <= (embedder.folder.limit or 512)]
    batches = [fitting[at : at + 32] for at in range(0, len(fitting) - 31, 32)]
    return [
        Load("query", embedder, [[question["question"]] for question in asked], "query"),
        Load("batch of 32", embedder, batches, "document"),
    ]


def client_head(url: str) -> tuple[tuple[str, int], bytes]:
    """Return host and port, and the beginning of a request for vectors."""
    place = urlsplit(url)
    head = f"POST {place.path}/embeddings HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    return (place.hostname or "127.0.0.1", place.port or 80), head.encode()


async def client(url: str, bodies: list[bytes], first: int, until: float, answers: list) -> None:
    place, head = client_head(url)
    reader, writer = await asyncio.open_connection(*place, limit=1 << 24)
    number = first
    while time.perf_counter() < until:
        body = bodies[number % len(bodies)]
        started = time.perf_counter()
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        try:
            answer = await read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):  # a peer may end a connection after some answers
            reader, writer = await asyncio.open_connection(*place, limit=1 << 24)
            continue
        answers.append((number % len(bodies), time.perf_counter() - started, answer))
        number += 1
    writer.close()


async def read(reader: asyncio.StreamReader) -> bytes:
    lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    assert b" 200 " in lines[0], lines[0]
    length = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")]
    if length:
        return await reader.readexactly(length[0])
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size + 2))
    await reader.readline()
    return b"".join(part[:-2] for part in parts)


def ask(url: str, bodies: list[bytes], count: int, seconds: float, out: multiprocessing.SimpleQueue) -> None:
    async def all_of_them() -> None:
        answers: list = []
        started = time.perf_counter()
        await asyncio.gather(*(client(url, bodies, 7 * n, started + seconds, answers) for n in range(count)))
        out.put((time.perf_counter() - started, answers))

    asyncio.run(all_of_them())


def measure(name: str, url: str, model: str, load: Load, clients: int, seconds: float) -> float:
    """Print one line; return tokens/s."""
    bodies = [json.dumps({"model": model, "input": texts}).encode() for texts in load.requests]
    out = multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=ask, args=(url, bodies, clients, seconds, out))
    process.start()
    took, answers = out.get()
    process.join()
    cosine = min(
        float((np.array([each["embedding"] for each in json.loads(answer)["data"]]) * load.vectors[place]).sum(1).min())
        for place, _, answer in answers[:: max(1, len(answers) // 200)]
    )
    times = sorted(1000 * seconds for _, seconds, _ in answers)
    tokens = sum(load.tokens[place] for place, _, _ in answers) / took
    print(
        f"{name:<10} {load.name:<12} {clients:>3} clients  p50 {statistics.median(times):8.1f} ms  p99 "
        f"{times[int(0.99 * (len(times) - 1))]:8.1f} ms  {len(answers) / took:8.1f} requests/s "
        f"{tokens:9,.0f} tokens/s  least cosine {cosine:.5f}",
        flush=True,
    )
    return tokens


def direct(embedder: FineTunedEmbedder, queries: Load, batches: Load) -> float:
    """Print what the embedder does without a server; return its bulk tokens/s."""
    times = []
    for texts in queries.requests:
        started = time.perf_counter()
        embedder.embed_query(texts[0])
        times.append(1000 * (time.perf_counter() - started))
    texts = [text for request in batches.requests for text in request]
    started = time.perf_counter()
    embedder.encode(texts, role="document")
    bulk = sum(batches.tokens) / (time.perf_counter() - started)
    print(f"direct query p50 {statistics.median(times):.1f} ms; bulk {bulk:,.0f} tokens/s ({embedder.engine.name})")
    return bulk


@contextmanager
def ours(model: str):
    """Yield the URL of a server of the model, and its process's number."""
    command = [str(Path(sys.executable).with_name("dragon-finetune")), "serve", "--model", model, "--port", "0"]
    process = subprocess.Popen([*command, "--name", "ours"], stderr=subprocess.PIPE, encoding="utf-8")
    line = process.stderr.readline()
    threading.Thread(target=process.stderr.read, daemon=True).start()  # else a full pipe would stop it
    yield line.split()[-1] + "/v1", process.pid
    process.terminate()
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument(
        "--peer", action="append", default=[], help="NAME=URL of an OpenAI-like server, may be repeated"
    )
    parser.add_argument("--peer-model", default="ours", help="what peers call the model")
    options = parser.parse_args()
    embedder = FineTunedEmbedder(options.model)
    queries, batches = loads(embedder)
    bulk = direct(embedder, queries, batches)
    with ours(options.model) as (url, _):
        servers = {"ours": (url, "ours")}
        servers |= {name: (place, options.peer_model) for name, place in (each.split("=", 1) for each in options.peer)}
        for load in (queries, batches):
            for clients in CLIENTS:
                for name, (place, model) in servers.items():
                    role = f"{model}:{load.role}" if name == "ours" else model
                    tokens = measure(name, place, role, load, clients, options.seconds)
                    if load is batches and clients == CLIENTS[-1]:
                        print(f"{name}: {tokens / bulk:.2f} of the bulk speed")


if __name__ == "__main__":
    main()
