"""Bad callers and bad starts: each gets a clear answer, and the server lives on."""

import contextlib
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from servers import serving

LIVES = {"model": "tuned", "input": "the ledger lies"}


@pytest.fixture
def alive(server):
    """Return the server's address; afterwards it must answer as ever."""
    yield server
    assert len(httpx.post(f"{server}/api/embed", json=LIVES, timeout=60).json()["embeddings"][0]) == 32


def raw(url, content, *, read=True):
    """Send bytes as they are; return what comes back."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(content)
        return b"".join(iter(lambda: connection.recv(65536), b"")) if read else b""


def test_no_part_of_an_answer_waits_for_the_client_to_have_read_the_one_before():
    import asyncio

    from dragon_finetune.serve.running import Address

    async def accepted():
        told = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(
            lambda _, writer: told.set_result(writer), sock=Address("127.0.0.1", 0).bind()
        )
        _, client = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer = await told
        found = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for each in (writer, client):
            each.close()
            await each.wait_closed()
        server.close()
        await server.wait_closed()
        return found

    assert asyncio.run(accepted())


def test_a_body_of_a_gigabyte_is_refused_unread(alive):
    head = b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
    answer = raw(alive, head + b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"more than 33,554,432 bytes" in answer


def test_a_body_that_does_not_say_its_size_is_refused_at_the_bound(alive):
    def parts():
        for _ in range(40):
            yield b" " * (1 << 20)

    # The answer comes while the body is still being sent, and the connection ends.
    with contextlib.suppress(httpx.WriteError):
        assert httpx.post(f"{alive}/v1/embeddings", content=parts(), timeout=60).status_code == 413


def test_too_many_texts(alive):
    answer = httpx.post(f"{alive}/v1/embeddings", json={"model": "tuned", "input": ["x"] * 100_000}, timeout=60)
    assert answer.status_code == 400
    assert "100,000 texts in one request; at most 2,048" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\x16\x03\x01 garbage \r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Flood: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
        b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: nonsense\r\n\r\n{}",
        b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    ],
    ids=["garbage", "long header", "many headers", "no number", "no chunk"],
)
def test_what_is_no_request(alive, content):
    with contextlib.suppress(ConnectionError):  # it may end in the middle of the flood
        assert raw(alive, content)[:12] in (b"HTTP/1.1 400", b"")


def test_floods_of_garbage_are_not_told_where_nobody_reads(tiny):
    # Each line would go into a pipe of 64 KB that nobody empties, and the last one would stop the server for good.
    with serving("--model", tiny, "--name", "tuned") as running:
        for _ in range(2500):
            raw(running.url, b"\x00\xff garbage \r\n\r\n")
        assert httpx.post(f"{running.url}/api/embed", json=LIVES, timeout=20).status_code == 200
        running.stop()


def test_half_a_request_and_callers_that_hang_up_hold_nobody_up(alive):
    host, port = alive.removeprefix("http://").split(":")
    half = [socket.create_connection((host, int(port))) for _ in range(50)]
    for connection in half:
        connection.sendall(b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    body = b'{"model": "tuned", "input": [' + b",".join(b'"oar %d"' % n for n in range(2000)) + b"]}"
    for _ in range(5):
        head = b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        raw(alive, head + body, read=False)
    assert httpx.post(f"{alive}/api/embed", json=LIVES, timeout=60).status_code == 200
    for connection in half:
        connection.close()
    until = time.monotonic() + 60
    while httpx.get(f"{alive}/health").json()["waiting_tokens"] and time.monotonic() < until:
        time.sleep(0.1)
    assert httpx.get(f"{alive}/health").json()["waiting_tokens"] == 0


def test_a_name_that_it_does_not_have_is_not_answered(alive):
    answer = httpx.get(f"{alive}/api/tags", headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert "not called 'evil.example'" in answer.json()["error"]


def test_many_at_once_each_get_their_own(alive, tuned):
    texts = [f"house {n} keeps its {'lamp' if n % 2 else 'oar'}" for n in range(64)]
    wanted = tuned.encode(texts, role="query")

    def ask(text):
        answer = httpx.post(f"{alive}/v1/embeddings", json={"model": "tuned:query", "input": text}, timeout=60)
        return answer.json()["data"][0]["embedding"]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, texts))
    assert abs(wanted - found).max() < 2e-6


def test_a_key_is_asked_for_and_compared(tiny):
    with serving("--model", tiny, "--name", "tuned", "--host", "0.0.0.0", DRAGON_FINETUNE_API_KEY="s3cret") as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/health").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"x-api-key": "s3cre"}, {"x-api-key": ""}):
            answer = httpx.get(f"{url}/api/tags", headers=headers)
            assert answer.status_code == 401
            assert "a key is needed" in answer.json()["error"]
        for headers in ({"Authorization": "Bearer s3cret"}, {"x-api-key": "s3cret"}):
            assert httpx.get(f"{url}/api/tags", headers=headers).status_code == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_what_was_asked_and_ends_well(tiny, how):
    answers = []
    with serving("--model", tiny, "--name", "tuned") as running:
        body = {"model": "tuned", "input": [f"oar {n} of the long boat" for n in range(2000)]}
        ask = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{running.url}/api/embed", json=body, timeout=60))
        )
        ask.start()
        while not httpx.get(f"{running.url}/health").json()["waiting_tokens"]:
            pass
        code, said = running.stop(how)
        ask.join()
    assert (code, said) == (0, "")
    assert len(answers[0].json()["embeddings"]) == 2000


def test_two_servers_on_one_empty_cache(tiny, tmp_path):
    cache = {"DRAGON_FINETUNE_CACHE": str(tmp_path / "cache")}
    with ThreadPoolExecutor(2) as pool:

        def vector(_):
            with serving("--model", tiny, "--name", "tuned", **cache) as running:
                return httpx.post(f"{running.url}/api/embed", json=LIVES, timeout=60).json()["embeddings"][0]

        one, two = pool.map(vector, range(2))
    assert one == two


def test_what_can_not_be_served_is_said_before_it_starts(cli, tiny, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = cli("serve", "--model", tiny, "--port", port)
    assert refused.returncode == 2
    assert f"127.0.0.1:{port} can't be listened on" in refused.stderr
    half = shutil.copytree(tiny, tmp_path / "half")
    (half / "model.safetensors").write_bytes((half / "model.safetensors").read_bytes()[:1000])
    for arguments, words in (
        (("--model", half), "model.safetensors"),
        (("--model", tmp_path / "none"), "none"),
        (("--model", tiny, "--host", "0.0.0.0"), "give --api-key"),
        (("--model", tiny, "--api-key", " "), "--api-key must be"),
        (("--model", tiny, "--name", "a:b"), "nobody can ask for the name 'a:b'"),
        (("--model", tiny, "--against", tiny), "give the first another --name"),
        (("--model", tiny, "--port", "70000"), "--port is 70000"),
        (("--model", tiny, "--host", "no.such.host.invalid", "--api-key", "k"), "can't be listened on"),
    ):
        refused = cli("serve", "--port", "0", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr
