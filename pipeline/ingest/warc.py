"""Captures of WARC and WET files, and what became of every other byte of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipeline.ingest.frames import Piece, pieces
from pipeline.ingest.http import Headers, decoded, fields_of, parse_answer

# Records that hold what was captured. The others (warcinfo, request, metadata, continuation, and any that the format does not
# know) are counted.
CAPTURES = ("response", "resource", "conversion", "revisit")
_TYPE = re.compile(rb"^WARC-Type[ \t]*:[ \t]*([!-~]+)", re.I | re.M)


@dataclass
class Capture:
    """One captured resource, or one damaged place (`broken` says what is wrong).

    Attributes:
        offset: in the file; of a compressed file that of the member in which the record starts.
        inside: records that start in that member before it; 0 unless several share one.
        kind: the record's WARC-Type; "" for bytes that are no record.
        time: when it was captured, in UTC.
        status: of HTTP; None where there is no status line.
        too_large: bytes of a body over the limit, which was not read.
        truncated: why the body is not whole: the record's WARC-Truncated, or "encoding" for a coding that breaks off.
        lost: bytes of the file that could not be read.
        original: of a revisit, what it refers to.
    """

    offset: int
    inside: int = 0
    kind: str = ""
    record_id: str = ""
    url: str = ""
    time: datetime | None = None
    status: int | None = None
    content_type: str = ""
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    broken: str = ""
    too_large: int = 0
    truncated: str = ""
    lost: int = 0
    digest: str = ""
    original: Original | None = None

    @property
    def conversion(self) -> bool:
        """Whether it is text that somebody made of a page (WET)."""
        return self.kind == "conversion"


@dataclass(frozen=True)
class Original:
    """What a revisit says of the capture that has its content; "" or None where it does not say."""

    record_id: str = ""
    url: str = ""
    time: datetime | None = None


@dataclass
class Tally:
    """The books of a file, or a part of it: its bytes are those of records and of gaps.

    Attributes:
        records: by WARC-Type, in lower case.
        record_bytes, gap_bytes: bytes of the file. gaps: places that are no record, or one that cannot be read.
    """

    records: Counter[str] = field(default_factory=Counter)
    record_bytes: int = 0
    gap_bytes: int = 0
    gaps: int = 0

    def add(self, piece: Piece, kind: str) -> None:
        if piece.problem:
            self.gaps += 1
            self.gap_bytes += piece.size
        else:
            self.records[kind] += 1
            self.record_bytes += piece.size


def captures(
    path: Path, start: int = 0, end: int | None = None, *, max_bytes: int, tally: Tally | None = None
) -> Iterator[Capture]:
    """Captures of records that begin in bytes [start, end) of a WARC file, and its damaged places.

    Args:
        max_bytes: of a body; a longer one is not read.
        tally: counts all records and bytes, also of what is no capture.

    Raises: OSError if the file cannot be read.
    """
    tally = tally if tally is not None else Tally()
    for piece in pieces(path, start, end, max_block=2 * max_bytes + (1 << 16)):
        kind = _kind(piece.head)
        tally.add(piece, kind)
        if piece.problem or kind in CAPTURES:
            yield _capture(piece, kind, max_bytes)


def offsets(path: Path) -> Iterator[int]:
    """Offsets where a WARC file can be cut: a record starts there, and nothing of the same member lies before it."""
    return (piece.offset for piece in pieces(path, max_block=0) if piece.exact)


def _kind(head: bytes) -> str:
    found = _TYPE.search(head)
    return found[1].decode("ascii").lower() if found else "unknown" if head else ""


def _fields(head: bytes) -> dict[str, str]:
    """The fields of a header by name in lower case, the first of each name."""
    found: dict[str, str] = {}
    for name, value in fields_of(head):
        found.setdefault(name.lower(), value)
    return found


def _capture(piece: Piece, kind: str, max_bytes: int) -> Capture:
    fields = _fields(piece.head)
    made = Capture(
        piece.offset,
        piece.inside,
        kind,
        record_id=fields.get("warc-record-id", ""),
        url=fields.get("warc-target-uri", "").strip("<>"),
        time=parse_time(fields.get("warc-date", "")),
        truncated=fields.get("warc-truncated", "").lower(),
        digest=fields.get("warc-payload-digest", ""),
    )
    if piece.problem:
        made.broken, made.lost = f"{piece.problem}; {piece.size:,} bytes of the file", piece.size
        return made
    if kind == "revisit":
        made.original = Original(
            fields.get("warc-refers-to", ""),
            fields.get("warc-refers-to-target-uri", "").strip("<>"),
            parse_time(fields.get("warc-refers-to-date", "")),
        )
        return made
    if piece.length and not piece.block:
        made.too_large = piece.length
        return made
    declared = fields.get("content-type", "")
    answer = parse_answer(piece.block, max_bytes=max_bytes) if kind == "response" else None
    if answer is not None:
        made.headers, made.status, made.body = answer.headers, answer.status, answer.body
        made.content_type, cut = answer.header("content-type").split(",")[0], answer.cut
    else:  # a resource or a conversion; or a response of another protocol (dns:, ftp:), or without its HTTP headers
        wrapped = declared.lower().startswith("application/http")
        if wrapped and not bytes(piece.block[:1_000]).lstrip().startswith(b"<"):
            made.broken = "no HTTP status line"
            return made
        made.content_type = "" if wrapped else declared
        made.body, cut = decoded(bytes(piece.block), "", max_bytes=max_bytes)
    if cut == "length":
        made.too_large, made.body = max(piece.length, max_bytes + 1), b""
    made.truncated = made.truncated or cut
    return made


def parse_time(value: str) -> datetime | None:
    """A WARC-Date (or any ISO 8601 time) in UTC; None for what is none, or lies beyond the years 1 to 9999."""
    try:
        made = datetime.fromisoformat(value.strip())
        return (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
