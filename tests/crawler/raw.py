"""A server on loopback that answers with the bytes that it is given, whatever they are."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable

Answers = dict[str, bytes]


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    """A whole HTTP answer; text/html unless the headers say otherwise."""
    given = [*headers, b"Connection: close"]
    if not any(h.lower().startswith(b"content-type") for h in headers):
        given.append(b"Content-Type: text/html")
    if not any(h.lower().startswith((b"content-length", b"transfer-encoding")) for h in headers):
        given.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(given) + b"\r\n\r\n" + body


def index(paths: list[str]) -> bytes:
    """A page that links to all paths."""
    return answer("".join(f'<a href="{p}">x</a>\n' for p in paths).encode())


class Raw(socketserver.ThreadingTCPServer):
    """Answers each path as told, `/` with links to all of them unless told otherwise, anything else with 404.

    Args:
        answers: by path: bytes, or a function of how often the path was asked for before.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: dict[str, bytes | Callable[[int], bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answers: dict[str, bytes | Callable[[int], bytes]] = {"/": index(list(answers)), **answers}
        self.log: list[tuple[float, str]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        return  # the crawler may close its connection

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def times(self, path: str) -> list[float]:
        """When a path was asked for."""
        return [t for t, p in self.log if p == path]


class _Connection(socketserver.StreamRequestHandler):
    server: Raw

    def handle(self) -> None:
        path = self.rfile.readline().split(b" ")[1].decode("latin-1")
        while self.rfile.readline().strip():
            pass
        with self.server.lock:
            before = len(self.server.times(path))
            self.server.log.append((time.monotonic(), path))
        given = self.server.answers.get(path, answer(b"no", status=b"404 Not Found"))
        self.wfile.write(given if isinstance(given, bytes) else given(before))
