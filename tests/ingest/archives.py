"""WARC files made by hand, as tools write them and as they should not."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field

import zstandard

LAYOUTS = ("plain", "gzip", "one gzip", "chunks", "zstd", "one zstd")


@dataclass
class Made:
    """A record: its header fields but for the length, and its block."""

    block: bytes
    fields: dict[str, str] = field(default_factory=dict)
    length: str | None = None  # instead of the right one; "" for none
    end: bytes = b"\r\n\r\n"
    newline: bytes = b"\r\n"

    def bytes(self) -> bytes:
        fields = dict(self.fields)
        length = str(len(self.block)) if self.length is None else self.length
        if length:
            fields["Content-Length"] = length
        lines = ["WARC/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        return self.newline.join(line.encode() for line in lines) + self.block + self.end


def response(number: int, body: bytes, headers: str = "Content-Type: text/html; charset=utf-8", **more: str) -> Made:
    """A response record with the id and the URL of its number."""
    head = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n" if headers else "HTTP/1.1 200 OK\r\n\r\n"
    return Made(head.encode() + body, fields_of(number, "response", "application/http; msgtype=response") | more)


def fields_of(number: int, kind: str, content_type: str) -> dict[str, str]:
    return {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{number:012d}>",
        "WARC-Date": "2024-03-01T00:00:00Z",
        "WARC-Target-URI": f"http://a.test/{number}",
        "Content-Type": content_type,
    }


def laid_out(records: Sequence[bytes], layout: str) -> tuple[bytes, list[tuple[int, int]]]:
    """A file of records, and the bytes [start, end) of the file that each one lies in."""
    if layout in ("one gzip", "one zstd", "chunks"):
        text = b"".join(records)
        if layout == "chunks":  # members that know nothing of records
            data = b"".join(gzip.compress(text[i : i + 777]) for i in range(0, len(text), 777))
        else:
            data = gzip.compress(text) if layout == "one gzip" else zstandard.compress(text)
        return data, [(0, len(data))] * len(records)
    packed = [
        r if layout == "plain" else gzip.compress(r) if layout == "gzip" else zstandard.compress(r) for r in records
    ]
    places, at = [], 0
    for one in packed:
        places.append((at, at + len(one)))
        at += len(one)
    return b"".join(packed), places
