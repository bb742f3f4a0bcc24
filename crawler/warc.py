"""WARC 1.1 out: warcinfo, request and response records, one gzip member each, and reading back what a crash left.

Files are `winnow-00000.warc.gz`; the one being written ends in `.open`. Scrapy hands over the body with its
content encoding but without chunking, and header names in its own capitals: `Transfer-Encoding` is left out and
`Content-Length` corrected, which the warcinfo record says.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline import __version__

OPEN = ".open"


@dataclass(frozen=True)
class Stored:
    """A response in a WARC file."""

    file: str
    offset: int
    url: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class WarcFiles:
    """Append-only WARC files of one crawl in one folder."""

    def __init__(self, folder: Path, *, max_bytes: int, info: Mapping[str, str]) -> None:
        self.folder, self.max_bytes, self.info = folder, max_bytes, dict(info)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.written = 0
        self._number = len(list(folder.glob("winnow-*.warc.gz")))
        self._file: io.BufferedWriter | None = None
        self._writer: WARCWriter | None = None

    def write(
        self,
        url: str,
        *,
        request_line: str,
        request_headers: list[tuple[str, str]],
        status_line: str,
        headers: list[tuple[str, str]],
        body: bytes,
        ip: str | None,
    ) -> tuple[str, int]:
        """Append a request/response pair; returns the file name and the response's byte offset."""
        writer, file = self._open()
        http = StatusAndHeaders(status_line, self._fixed(headers, len(body)), protocol="HTTP/1.1")
        extra = {"WARC-IP-Address": ip} if ip else {}
        response = writer.create_warc_record(
            url, "response", payload=io.BytesIO(body), length=len(body), http_headers=http, warc_headers_dict=extra
        )
        sent = StatusAndHeaders(request_line, request_headers, is_http_request=True)
        request = writer.create_warc_record(
            url,
            "request",
            http_headers=sent,
            warc_headers_dict={
                "WARC-Concurrent-To": response.rec_headers.get_header("WARC-Record-ID"),
                "WARC-Date": response.rec_headers.get_header("WARC-Date"),
            },
        )
        offset = file.tell()
        name = Path(file.name).name.removesuffix(OPEN)
        writer.write_record(response)
        writer.write_record(request)
        file.flush()
        self.written += 1
        if file.tell() > self.max_bytes:
            self.close()
        return name, offset

    def close(self) -> None:
        """Give the open file its final name."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._file.name, self._file.name.removesuffix(OPEN))
            self._file, self._number = None, self._number + 1

    def _open(self) -> tuple[WARCWriter, io.BufferedWriter]:
        if self._file is None:
            path = self.folder / f"winnow-{self._number:05d}.warc.gz{OPEN}"
            fresh = not path.exists()
            self._file = open(path, "ab")  # noqa: SIM115 - it stays open over many calls
            self._writer = WARCWriter(self._file, gzip=True, warc_version="WARC/1.1")
            if fresh:
                self._writer.write_record(self._writer.create_warcinfo_record(path.name.removesuffix(OPEN), self.info))
        assert self._writer is not None
        return self._writer, self._file

    @staticmethod
    def _fixed(headers: list[tuple[str, str]], length: int) -> list[tuple[str, str]]:
        kept = [(k, v) for k, v in headers if k.lower() not in ("transfer-encoding", "content-length")]
        return [*kept, ("Content-Length", str(length))]


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


def repair(folder: Path) -> int:
    """Cut a file that a killed crawl left open back to its last whole response/request pair; returns bytes removed."""
    removed = 0
    for path in sorted(folder.glob(f"*{OPEN}")):
        good = 0
        size = path.stat().st_size
        try:
            with open(path, "rb") as f:
                waiting: int | None = None
                for record in ArchiveIterator(f, record_types=WarcRecordType.any_type, parse_http=False):
                    if record.record_type == WarcRecordType.response:
                        if waiting is not None:
                            break
                        good, waiting = record.stream_pos, record.stream_pos
                    else:
                        waiting = None
                    whole = len(record.reader.read()) == int(record.headers.get("Content-Length") or 0)
                    if not whole:
                        good = record.stream_pos if waiting is None else waiting
                        break
                else:
                    good = size if waiting is None else waiting
        except OSError:
            pass  # damaged behind `good`: that is what is being cut off
        with open(path, "rb+") as f:
            f.truncate(good)
        removed += size - good
        if good == 0:
            path.unlink()
    return removed


def stored_responses(folder: Path) -> Iterator[Stored]:
    """Every response that earlier runs of this crawl wrote, with the body as it was received."""
    for path in sorted([*folder.glob("*.warc.gz"), *folder.glob(f"*{OPEN}")]):
        with open(path, "rb") as f:
            for record in ArchiveIterator(f, record_types=WarcRecordType.response, parse_http=True):
                yield Stored(
                    path.name.removesuffix(OPEN),
                    record.stream_pos,
                    record.headers["WARC-Target-URI"],
                    record.http_headers.status_code or 0,
                    [(str(k), str(v)) for k, v in record.http_headers],
                    record.reader.read(),
                )
