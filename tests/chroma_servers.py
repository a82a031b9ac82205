"""Chroma's own server in a process of its own, and what stands before it elsewhere: TLS, a path prefix, a token."""

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class ChromaServer:
    """`chroma run` on a folder; may be killed and started again at the same address."""

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = folder / "chroma.yaml"
        known = {"port": self.port, "listen_address": "127.0.0.1", "persist_path": str(folder / "store")}
        self._config.write_text(json.dumps({**known, **settings}), encoding="utf-8")
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [Path(sys.executable).with_name("chroma"), "run", self._config]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def chroma_server(folder: Path, **settings: object) -> Iterator[ChromaServer]:
    server = ChromaServer(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Proxy:
    """What was asked through a proxy: how many requests, and how many records at once at most."""

    def __init__(self, certificate: Path) -> None:
        self.url, self.certificate = "", certificate
        self.refused = 0
        self.most = 0


@contextlib.contextmanager
def tls_proxy(
    backend: ChromaServer, folder: Path, *, prefix: str = "", token: str = "", at_once: int | None = None
) -> Iterator[Proxy]:
    """Terminate TLS before a server, under a path prefix, for those who have the token.

    Args:
        backend: whom to ask.
        folder: for the certificate.
        prefix: of the paths, without which all is 404.
        token: demanded as `Authorization: Bearer`.
        at_once: what the server says that it takes at once, in records.
    """
    certificate = certify(folder)
    proxy = Proxy(certificate)
    handler = _handler(proxy, backend.port, prefix, token, at_once)
    server = _Server(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    proxy.url = f"https://localhost:{server.server_address[1]}{prefix}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certify(folder: Path) -> Path:
    """Write a certificate of localhost that it signed itself, and its key beside it."""
    certificate = folder / "localhost.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", certificate.with_suffix(".key"), "-out", certificate]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *given: object) -> None:
        """A client that does not know the certificate goes away, which is no error here."""


def _handler(proxy: Proxy, port: int, prefix: str, token: str, at_once: int | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                proxy.refused += 1
                self._answer(401, b"<html>no token</html>", "text/html")
            elif not self.path.startswith(f"{prefix}/api/"):
                self._answer(404, b"<html>nothing here</html>", "text/html")
            else:
                self._answer(*self._of_backend(body), "application/json")

        def _of_backend(self, body: bytes) -> tuple[int, bytes]:
            if self.path.endswith("/upsert"):
                proxy.most = max(proxy.most, len(json.loads(body)["ids"]))
            connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                passed = {"Content-Type": "application/json"}
                connection.request(self.command, self.path.removeprefix(prefix), body, passed)
                answer = connection.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                return 502, b"<html>Bad Gateway</html>"
            finally:
                connection.close()
            if at_once and self.path.endswith("/pre-flight-checks"):
                data = json.dumps({**json.loads(data), "max_batch_size": at_once}).encode()
            return answer.status, data

        def _answer(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the server looks for these names

        def log_message(self, *given: object) -> None:
            pass

    return Handler
