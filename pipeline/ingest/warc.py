"""WARC and WET records, and what to do when a file is damaged.

Reading goes on behind a damaged place: at the next gzip member, or the next line that starts a WARC record. What lies
between comes out as one broken capture, so that it is counted and can be explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

_WANTED = WarcRecordType.response | WarcRecordType.conversion | WarcRecordType.resource


@dataclass
class Capture:
    """One captured resource, or one damaged place (`broken` says what is wrong)."""

    offset: int
    record_id: str = ""
    url: str = ""
    time: datetime | None = None
    status: int | None = None
    content_type: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    conversion: bool = False  # WET: already text
    broken: str = ""
    too_large: int = 0  # bytes of a body over the limit, which was not read


def captures(path: Path, start: int = 0, end: int | None = None, *, max_bytes: int) -> Iterator[Capture]:
    """Captures of records that begin in bytes [start, end) of a WARC file."""
    at = start
    while at is not None and (end is None or at < end):
        last = at
        try:
            with open(path, "rb") as f:
                f.seek(at)
                for record in ArchiveIterator(f, record_types=_WANTED | WarcRecordType.any_type, parse_http=False):
                    last = record.stream_pos  # absolute, wherever reading began
                    if end is not None and last >= end:
                        return
                    if record.record_type & _WANTED:
                        yield _capture(record, last, max_bytes)
            return
        except OSError as error:
            found = _next_record(path, last + 1)
            yield Capture(last, broken=f"{error}; {(found or path.stat().st_size) - last:,} bytes skipped")
            at = found  # type: ignore[assignment]


def _capture(record: object, offset: int, max_bytes: int) -> Capture:
    headers = record.headers  # type: ignore[attr-defined]
    made = Capture(
        offset,
        record_id=headers.get("WARC-Record-ID", ""),
        url=(headers.get("WARC-Target-URI") or "").strip("<>"),
        time=record.record_date,  # type: ignore[attr-defined]
        conversion=record.record_type == WarcRecordType.conversion,  # type: ignore[attr-defined]
    )
    length = int(headers.get("Content-Length") or 0)
    if length > 2 * max_bytes:
        made.too_large = length
        return made
    block = record.reader.read()  # type: ignore[attr-defined]
    if len(block) < length:
        made.broken = f"record ends after {len(block):,} of {length:,} bytes"
        return made
    record.set_bytes_content(block)  # type: ignore[attr-defined]
    try:
        if record.record_type == WarcRecordType.response:  # type: ignore[attr-defined]
            record.parse_http(auto_decode="all", quirks_mode=True)  # type: ignore[attr-defined]
            http = record.http_headers  # type: ignore[attr-defined]
            made.headers = [(str(k), str(v)) for k, v in http]
            made.status = http.status_code
            made.content_type = http.get("Content-Type") or ""
        else:
            made.content_type = headers.get("Content-Type") or ""
        made.body = record.reader.read(max_bytes + 1)  # type: ignore[attr-defined]
    except (OSError, ValueError) as error:
        made.broken = str(error)
        return made
    if len(made.body) > max_bytes:
        made.too_large, made.body = max(length, len(made.body)), b""
    return made


def offsets(path: Path) -> Iterator[int]:
    """Byte offset of every record; damaged places are passed over."""
    at: int | None = 0
    while at is not None:
        last = at
        try:
            with open(path, "rb") as f:
                f.seek(at)
                for record in ArchiveIterator(f, record_types=WarcRecordType.any_type, parse_http=False):
                    last = record.stream_pos  # absolute, wherever reading began
                    yield last
            return
        except OSError:
            at = _next_record(path, last + 1)


def _next_record(path: Path, at: int) -> int | None:
    """The next place at or after `at` where a record can start."""
    with open(path, "rb") as f:
        packed = f.read(3) == b"\x1f\x8b\x08"
        f.seek(at)
        window, base = b"", at
        while chunk := f.read(1 << 20):
            window += chunk
            found = window.find(b"\x1f\x8b\x08") if packed else window.find(b"\nWARC/1.")
            while found >= 0:
                place = base + found + (0 if packed else 1)
                if not packed or _opens_record(path, place):
                    return place
                found = window.find(b"\x1f\x8b\x08", found + 1)
            base += max(len(window) - 8, 0)
            window = window[-8:]
    return None


def _opens_record(path: Path, at: int) -> bool:
    """Whether a gzip member starts here that holds a WARC record (the magic bytes also occur by chance)."""
    import zlib

    with open(path, "rb") as f:
        f.seek(at)
        try:
            return zlib.decompressobj(31).decompress(f.read(1 << 16), 8).startswith(b"WARC/")
        except zlib.error:
            return False
