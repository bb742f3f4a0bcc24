"""WARC 1.1 out: warcinfo, response and request records, one gzip member each.

Files are `winnow-00000.warc.gz`; the one being written ends in `.open`. Scrapy hands over the body with its
content encoding but without chunking, and header names in its own capitals: `Transfer-Encoding` is left out and
`Content-Length` corrected, which the warcinfo record says. All other bytes of a header are written as they came.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from pipeline import __version__

OPEN = ".open"
LEVEL = 6  # of gzip
_NUMBER = re.compile(r"winnow-(\d+)\.warc\.gz")
_BREAKS = re.compile(rb"[\r\n]+")
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Exchange:
    """A request and its answer as they go into a WARC file.

    Attributes:
        request_line, status_line: without `HTTP/1.1` and line ends: `GET /a HTTP/1.1`, `200 OK`.
        body: as received, content encoding included.
        ip: where the answer came from; None behind a proxy.
        truncated: why the body is not whole (`disconnect`, `length`; WARC 1.1, 5.13); "" where it is.
    """

    url: str
    request_line: bytes
    request_headers: Headers
    status_line: bytes
    headers: Headers
    body: bytes
    ip: str | None = None
    truncated: str = ""


def reraise(error: OSError) -> NoReturn:
    raise error


class WarcFiles:
    """Append-only WARC files of one crawl in one folder.

    Args:
        give_up: called with the error when a file cannot be written; it never returns.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        info: Mapping[str, str],
        give_up: Callable[[OSError], NoReturn] = reraise,
    ) -> None:
        self.folder, self.max_bytes, self.info, self.give_up = folder, max_bytes, dict(info), give_up
        self.folder.mkdir(parents=True, exist_ok=True)
        self.written = 0
        self._number = 1 + max((n for p in folder.iterdir() if (n := _number(p, closed=True)) is not None), default=-1)
        self._file: io.BufferedWriter | None = None

    def write(self, exchange: Exchange) -> tuple[str, int]:
        """Append a response and its request; returns the file name and the response's byte offset."""
        try:
            return self._write(exchange)
        except OSError as error:
            self.give_up(error)

    def close(self) -> None:
        """Give the open file its final name."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._file.name, self._file.name.removesuffix(OPEN))
            self._file, self._number = None, self._number + 1

    def _write(self, exchange: Exchange) -> tuple[str, int]:
        file = self._open()
        offset = file.tell()
        name = Path(file.name).name.removesuffix(OPEN)
        file.write(_pair(exchange))
        file.flush()
        self.written += 1
        if file.tell() > self.max_bytes:
            self.close()
        return name, offset

    def _open(self) -> io.BufferedWriter:
        if self._file is None:
            left = sorted(n for p in self.folder.iterdir() if (n := _number(p, closed=False)) is not None)
            self._number = left[-1] if left else self._number
            path = self.folder / f"winnow-{self._number:05d}.warc.gz{OPEN}"
            self._file = open(path, "ab")  # noqa: SIM115 - it stays open over many calls
            if not self._file.tell():
                fields = "".join(f"{k}: {v}\r\n" for k, v in self.info.items())
                block = fields.encode("utf-8", "replace")
                head = [(b"WARC-Filename", path.name.removesuffix(OPEN).encode())]
                self._file.write(_record(b"warcinfo", b"application/warc-fields", block, _date(), _id(), head))
        return self._file


def _number(path: Path, *, closed: bool) -> int | None:
    found = _NUMBER.fullmatch(path.name if closed else path.name.removesuffix(OPEN))
    return int(found[1]) if found and (closed or path.name.endswith(OPEN)) else None


def _pair(exchange: Exchange) -> bytes:
    """The response record, then the request record: the second being whole says that the first is."""
    date, response = _date(), _id()
    url = exchange.url.encode("utf-8", "replace")
    size = str(len(exchange.body)).encode()
    left_out = (b"transfer-encoding", b"content-length")
    kept = [(k, v) for k, v in exchange.headers if k.lower() not in left_out]
    answer = _http(b"HTTP/1.1 " + exchange.status_line, [*kept, (b"Content-Length", size)])
    about = [(b"WARC-Target-URI", url), (b"WARC-Payload-Digest", _digest(exchange.body))]
    if exchange.ip:
        about.append((b"WARC-IP-Address", exchange.ip.encode()))
    if exchange.truncated:
        about.append((b"WARC-Truncated", exchange.truncated.encode()))
    kind = b"application/http; msgtype="
    first = _record(b"response", kind + b"response", answer + exchange.body, date, response, about)
    sent = _http(exchange.request_line, exchange.request_headers)
    about = [(b"WARC-Target-URI", url), (b"WARC-Concurrent-To", response)]
    return first + _record(b"request", kind + b"request", sent, date, _id(), about)


def _http(first: bytes, headers: Headers) -> bytes:
    lines = [first, *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(_BREAKS.sub(b" ", line) for line in lines) + b"\r\n\r\n"


def _record(kind: bytes, content_type: bytes, block: bytes, date: bytes, record_id: bytes, about: Headers) -> bytes:
    """One record as a gzip member of its own."""
    head = [
        (b"WARC-Type", kind),
        (b"WARC-Record-ID", record_id),
        (b"WARC-Date", date),
        *about,
        (b"WARC-Block-Digest", _digest(block)),
        (b"Content-Type", content_type),
        (b"Content-Length", str(len(block)).encode()),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    return deflate.compress(b"WARC/1.1\r\n" + lines + b"\r\n" + block + b"\r\n\r\n") + deflate.flush()


def _digest(data: bytes) -> bytes:
    return b"sha1:" + base64.b32encode(hashlib.sha1(data).digest())


def _id() -> bytes:
    return f"<urn:uuid:{uuid.uuid4()}>".encode()


def _date() -> bytes:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def warc_info(agent: str) -> dict[str, str]:
    """Fields of the warcinfo record."""
    return {
        "software": f"winnow/{__version__}",
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "http-header-user-agent": agent,
        "robots": "obey",
        "description": "bodies keep their content encoding; transfer encoding undone, header capitals normalised",
    }
