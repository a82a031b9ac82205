"""A language model's server that misbehaves is named, in bounded time and memory; what was written before is kept."""

import contextlib
import http.server
import json
import threading
import time

import pytest

from dragon_finetune.errors import DataError, DragonFinetuneError
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.llm import LlmSettings, ask_for_queries

CORPUS = Corpus([Passage("c1", "Iron Jorun lit the great lamp of the Oriel.", "p1")])


def body(content, status=200, **headers):
    def act(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return act


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(4_000):
        handler.wfile.write(b'{"response": "' + b"x" * 100_000)


def slow(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.2)


def hang_up(handler):
    handler.connection.close()


def elsewhere(handler):
    handler.send_response(307)
    handler.send_header("Location", f"http://127.0.0.1:{handler.server.server_port}/other")
    handler.end_headers()


HOSTILE = {
    "nothing": body(b""),
    "no JSON": body(b"<html>"),
    "null": body(b"null"),
    "a list": body(b"[1]"),
    "no response": body(b"{}"),
    "null response": body(b'{"response": null}'),
    "a number": body(b'{"response": 7}'),
    "a list in it": body(b'{"response": ["x"]}'),
    "deep JSON": body(b"[" * 100_000),
    "NaN": body(b'{"response": NaN}'),
    "no UTF-8": body(b'{"response": "\xff\xfe"}'),
    "an error": body(b'{"error": "model not found"}', 404),
    "a server's error": body(b"", 500),
    "too busy": body(b"", 503),
    "a promise of more": body(b'{"response": "x"}', **{"Content-Length": "100000"}),
    "a body without end": endless,
    "a byte now and then": slow,
    "hangs up": hang_up,
    "another address": elsewhere,
    "another address for good": body(b"", 301, Location="http://127.0.0.1:1/"),
}


@pytest.fixture
def serve():
    servers = []

    def start(act):
        class Handler(http.server.BaseHTTPRequestHandler):
            asked = 0

            def do_POST(self):
                type(self).asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/other":
                    body(b'{"response": "who lit the lamp of the Oriel"}')(self)
                    return
                act(self)

            def log_message(self, *_):
                pass

            def handle(self):
                with contextlib.suppress(OSError, ValueError):
                    super().handle()

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", Handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("how", HOSTILE)
def test_it_is_named_in_bounded_time_and_nothing_becomes_a_query(serve, tmp_path, how):
    url, _ = serve(HOSTILE[how])
    started = time.monotonic()
    with pytest.raises(DragonFinetuneError, match=rf"{url} gave no answer for chunk c1"):
        list(ask_for_queries(CORPUS, LlmSettings("tiny", tmp_path / "memory.jsonl", url, timeout=1)))
    assert time.monotonic() - started < 8
    assert (tmp_path / "memory.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:port", "ftp://x", "nonsense", "http://"])
def test_an_address_where_nobody_answers_is_named(tmp_path, url):
    with pytest.raises(DragonFinetuneError, match="gave no answer for chunk c1"):
        list(ask_for_queries(CORPUS, LlmSettings("tiny", tmp_path / "memory.jsonl", url, timeout=1)))


@pytest.mark.parametrize("line", ['{"key": 7}', '{"query": "x"}', "nonsense", '{"key": "k", "query": null}'])
def test_a_damaged_memory_is_named_by_its_line(tmp_path, line):
    memory = tmp_path / "memory.jsonl"
    memory.write_text(json.dumps({"key": "k", "query": "x"}) + f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"memory\.jsonl, line 2"):
        list(ask_for_queries(CORPUS, LlmSettings("tiny", memory, "http://127.0.0.1:1", timeout=1)))
