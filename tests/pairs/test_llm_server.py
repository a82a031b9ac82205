"""Servers that answer without end, slowly, in another shape, or by sending us elsewhere."""

import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from codex_of_pairs import read_codex

from dragon_finetune.errors import DragonFinetuneError, SettingsError
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.llm import LlmSettings, ask_for_queries
from dragon_finetune.pairs.llm_server import ask_server

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


def said(body: bytes, head: bytes = HEAD) -> list[bytes]:
    return [head + b"Content-Length: %d\r\n\r\n" % len(body) + body]


def drip(start: bytes, piece: bytes, seconds: float):
    """Yield an answer that goes on for a minute, a piece at a time: far longer than any answer may take here."""
    yield start
    for _ in range(round(60 / seconds) if seconds else 600):
        time.sleep(seconds)
        yield piece


SHAPES = {
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a text": b'"who?"',
    "a list": b'["who?"]',
    "no response": b'{"done": true}',
    "a null response": b'{"response": null}',
    "a number for a response": b'{"response": 7}',
    "a list for a response": b'{"response": ["who?"]}',
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"response":' * 80_000,
    "half": b'{"response": "who',
    "no UTF-8": b'{"response": "\xff\xfe"}',
    "a lone surrogate": b'{"response": "\\ud800"}',
    "a huge number": b'{"response": %s}' % (b"9" * 10_000),
    "a page": b"<html>" * 1000,
    "two": b'{"response": "who?"}{"response": "what?"}',
}
BEHAVIOURS = {
    **{f"body: {name}": (lambda body=body: said(body)) for name, body in SHAPES.items()},
    "a body without end": lambda: drip(HEAD + b"\r\n", b"x" * 65536, 0),
    "a whole answer, then no end": lambda: drip(HEAD + b'\r\n{"response": "who?"}', b" ", 0.1),
    "a byte each time": lambda: drip(HEAD + b'\r\n{"response": "', b"w", 0.1),
    "a header each time": lambda: drip(HEAD, b"X: y\r\n", 0.1),
    "a letter of a header each time": lambda: drip(HEAD + b"X", b"x", 0.1),
    "silence": lambda: drip(b"", b"", 0.1),
    "headers without end": lambda: drip(HEAD, b"X: y\r\n" * 1000, 0),
    "one header without end": lambda: drip(HEAD + b"X: ", b"x" * 65536, 0),
    "no HTTP": lambda: [b"SSH-2.0-hello\r\n"],
    "hung up": list,
    "hung up half way": lambda: [HEAD + b"Content-Length: 100\r\n\r\n{"],
    "a wrong length": lambda: [HEAD + b"Content-Length: -1\r\n\r\n{}"],
    "broken chunks": lambda: [HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"],
    "status 500": lambda: said(b'{"response": "who?"}', b"HTTP/1.1 500 No\r\nConnection: close\r\n"),
    "status 204": lambda: [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"],
}


@contextmanager
def server(behave):
    """Listen on loopback and answer each request with the pieces that `behave()` gives; yield address and requests."""
    listening = socket.create_server(("127.0.0.1", 0))
    requests, over = [], threading.Event()

    def answer(connection):
        with connection:
            try:
                connection.settimeout(5)
                requests.append(connection.recv(1 << 20))
                for piece in behave():
                    if over.is_set():
                        return
                    connection.sendall(piece)
            except OSError:
                pass  # the client has gone, as it should

    def serve():
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.fixture(scope="module")
def two():
    return Corpus(read_codex().passages[:2])


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_whatever_a_server_does_is_told_in_time_and_nothing_is_lost(two, tmp_path, behaviour):
    memory = tmp_path / "queries.jsonl"
    memory.write_text('{"key": "of another run", "query": "kept?"}\n', encoding="utf-8")
    started = time.monotonic()
    with server(BEHAVIOURS[behaviour]) as (url, requests):
        settings = LlmSettings("tiny", memory, url, timeout=0.5)
        with pytest.raises(DragonFinetuneError, match="what it wrote is kept in"):
            list(ask_for_queries(two, settings))
        assert len(requests) == 3
    assert time.monotonic() - started < 6
    assert memory.read_text(encoding="utf-8") == '{"key": "of another run", "query": "kept?"}\n'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(two, tmp_path, status):
    with server(lambda: said(b'{"response": "who lit the lamp?"}')) as (elsewhere, asked_there):
        head = f"HTTP/1.1 {status} Go\r\nLocation: {elsewhere}/api/generate\r\nConnection: close\r\n".encode()
        with server(lambda: said(b"", head)) as (url, asked):
            with pytest.raises(DragonFinetuneError, match=f"redirects \\({status}\\), which is not followed"):
                list(ask_for_queries(two, LlmSettings("tiny", tmp_path / "queries.jsonl", url)))
            assert len(asked) == 3
        assert asked_there == []


def test_an_answer_in_time_is_taken_as_it_is():
    with server(lambda: drip(HEAD + b"Content-Length: 20\r\n\r\n" + b'{"response": "who?"}', b"", 0.1)) as (url, _):
        assert ask_server(url, {}, 5) == "who?"


@pytest.mark.parametrize(
    "url", ["", "localhost:11434", "file:///etc/passwd", "ftp://host", "http://", "http://h:x", "//h"]
)
def test_what_is_no_address_is_refused_before_anything_is_asked(tmp_path, url):
    with pytest.raises(SettingsError, match="it is like http://localhost:11434"):
        LlmSettings("tiny", tmp_path / "queries.jsonl", url)


DAMAGE = [b"{", b"[]", b"null", b"7", b'{"key": "a"}', b'{"key": "a", "query": null}', b'{"key": "a", "query": 7}',
          b"\xff\xfe", b"[" * 100_000, b"\x00" * 100]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: repr(damage[:20]))
def test_a_damaged_line_of_the_memory_is_named_and_passed_over(two, tmp_path, damage):
    memory = tmp_path / "queries.jsonl"
    with server(lambda: said(b'{"response": "who lit the lamp?"}')) as (url, requests):
        settings = LlmSettings("tiny", memory, url)
        list(ask_for_queries(two, settings))
        whole = memory.read_bytes()
        first, second = whole.splitlines(keepends=True)
        memory.write_bytes(first + damage + b"\n" + second + b'{"key": "cut')
        with pytest.warns(UserWarning, match=r"1 damaged lines \(the first is line 2\)"):
            list(ask_for_queries(two, settings))
        assert len(requests) == 2  # what is whole was not asked again
        assert memory.read_bytes() == first + damage + b"\n" + second
        assert {json.loads(line)["query"] for line in (first, second)} == {"who lit the lamp?"}
