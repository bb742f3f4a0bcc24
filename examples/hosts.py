"""Two websites on loopback, for the demo: `garden.winnow.test`, and `pydoc.winnow.test`.

The first is `examples/garden/`, with pages that misbehave as pages on the web do. The second is the documentation of
the running Python's own library, as the standard library's pydoc renders it. One server answers for both names: as an
HTTP proxy, and by the Host header. Only the standard library is needed.

    python -m examples.hosts [--port 0]     prints its address, serves until it is stopped
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import pydoc
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

GARDEN = Path(__file__).parent / "garden"
GARDEN_HOST, PYDOC_HOST = "garden.winnow.test", "pydoc.winnow.test"
SLOW_S = 30.0  # longer than the demo's crawl.timeout_s
HUGE_BYTES = 6_000_000  # more than the demo's crawl.max_page_bytes

# Modules that open windows or browsers, print on import, or are tests.
SKIP = {"antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter", "test", "lib2to3", "msilib"}
Answer = tuple[int, dict[str, str], bytes]
_IMPORTS = threading.Lock()


def garden(path: str) -> Answer:
    """A page of the garden, or one of its misbehaviours."""
    html = {"Content-Type": "text/html; charset=utf-8"}
    if path == "/robots.txt":
        return 200, {"Content-Type": "text/plain"}, (GARDEN / "robots.txt").read_bytes()
    if path in ("/loop/a.html", "/loop/b.html"):
        return 302, {"Location": "/loop/b.html" if path == "/loop/a.html" else "/loop/a.html"}, b""
    if path == "/old-soil.html":
        return 301, {"Location": "/soil.html"}, b""
    if path == "/huge.html":
        return 200, html, b"<p>" + b"weeds and more weeds " * (HUGE_BYTES // 21) + b"</p>"
    if path == "/slow.html":
        time.sleep(SLOW_S)
        return 200, html, b"<p>Better late than never.</p>"
    if path == "/leaflet.pdf":
        return 200, {"Content-Type": "application/pdf"}, b"%PDF-1.4\n%%EOF\n"
    name = "private-plans.html" if path == "/private/plans.html" else path.strip("/") or "index.html"
    file = GARDEN / "pages" / name
    if file.parent != GARDEN / "pages" or not file.is_file():
        return 404, html, b"<title>Not found</title><p>There is no such page.</p>"
    headers = {"Content-Type": "text/html"} if name == "cafe.html" else dict(html)
    if name == "diary.html":
        headers["X-Robots-Tag"] = "noai"
    return 200, headers, file.read_bytes()


@lru_cache(maxsize=4_096)
def library(path: str) -> Answer:
    """A module's page, the index of modules at `/`."""
    html = {"Content-Type": "text/html; charset=utf-8"}
    if path == "/":
        names = sorted(n for n in sys.stdlib_module_names if not n.startswith("_") and n not in SKIP)
        links = "".join(f'<li><a href="/{n}.html">{n}</a></li>' for n in names)
        return 200, html, f"<html><head><title>Modules</title></head><body><ul>{links}</ul></body></html>".encode()
    name = path.strip("/").removesuffix(".html")
    top = name.split(".")[0]
    if path.endswith(".html") and top in sys.stdlib_module_names and top not in SKIP and "__main__" not in name:
        page = _module_page(name)
        if page is not None:
            return 200, html, page.encode("utf-8", "replace")
    return 404, {"Content-Type": "text/html"}, b"<title>Not found</title>"


def _module_page(name: str) -> str | None:
    with _IMPORTS, warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            if importlib.util.find_spec(name) is None:
                return None
            module = importlib.import_module(name)
            return pydoc.html.page(pydoc.describe(module), pydoc.html.document(module, name))
        except (Exception, SystemExit):  # noqa: BLE001 - a module for another platform may raise anything: no page
            return None


SITES: dict[str, Callable[[str], Answer]] = {GARDEN_HOST: garden, PYDOC_HOST: library}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        host = (target.hostname or self.headers.get("Host", "").split(":")[0]).lower()
        site = SITES.get(host)
        status, headers, body = site(unquote(target.path) or "/") if site else (502, {}, b"unknown host\n")
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the crawler had enough of a huge or slow page, as it should

    def log_message(self, format: str, *args: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def start(port: int = 0) -> Server:
    """A server that is running in a thread; `.server_address` says where, `.shutdown()` ends it."""
    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the demo's two hosts on loopback.")
    parser.add_argument("--port", type=int, default=0)
    server = start(parser.parse_args().port)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
