"""Hostile WARC and WET files, each record between good ones. See `attacks.py`."""

from __future__ import annotations

import gzip
import random
import zlib
from dataclasses import dataclass, field
from html import escape

import zstandard
from attacks import KINDS, Attack, mark, marks, prose


@dataclass(frozen=True)
class Record:
    """A WARC record. `headers` replace those that it would have; None leaves one out."""

    n: int
    body: bytes | None = None
    http: bytes | None = None
    headers: dict[bytes, bytes | None] = field(default_factory=dict)
    end: bytes = b"\r\n"
    version: bytes = b"WARC/1.0"

    def block(self) -> bytes:
        body = page(self.n) if self.body is None else self.body
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" if self.http is None else self.http
        return head + body

    def data(self) -> bytes:
        block = self.block()
        made: dict[bytes, bytes | None] = {
            b"WARC-Type": b"response",
            b"WARC-Record-ID": b"<urn:uuid:00000000-0000-4000-8000-%012d>" % self.n,
            b"WARC-Target-URI": b"http://good.test/%d" % self.n,
            b"WARC-Date": b"2024-01-02T03:04:05Z",
            b"Content-Type": b"application/http; msgtype=response",
            b"Content-Length": b"%d" % len(block),
        }
        made |= self.headers
        head = [self.version, *(k + b": " + v for k, v in made.items() if v is not None), b""]
        return self.end.join(head) + self.end + block + self.end * 2


def page(n: int, head: str = "", text: str = "") -> bytes:
    body = escape(text or prose(n))
    return (
        f"<html><head><title>Page {n}</title>{head}</head><body><article><p>{body}</p></article></body></html>".encode()
    )


def wrapped(parts: list[bytes], rng: random.Random) -> tuple[str, bytes]:
    """(suffix, bytes) of a file of records: plain, or a member each."""
    if rng.random() < 0.5:
        return ".warc", b"".join(parts)
    return ".warc.gz", b"".join(gzip.compress(p, mtime=0) for p in parts)


def between(
    what: str, hostile: list[bytes], rng: random.Random, *, survives: bool, rows: int = 0, exactly: bool = False
) -> Attack:
    """Records between good ones in a file beside a good one. The hostile ones have number 100."""
    suffix, data = wrapped([Record(1).data(), *hostile, Record(2).data(), Record(3).data()], rng)
    files = {f"hostile{suffix}".encode(): data, b"neighbour.warc": Record(4).data()}
    return Attack(f"{what} {suffix}", files, marks([1, 2, 3, 4, *([100] if survives else [])]), rows or 4, exactly)


URIS: list[bytes | None] = [
    b"http://[bad/",
    "http://\u2100.com/".encode(),
    b"",
    None,
    b"http://\xff\xfe/",
    b"<http://a.test/>",
    b"http://h:99999/",
    b"dns:good.test",
    b"http://h/" + b"x" * 30_000,
    b"http://h/\x1b[2J",
    b"urn:x",
    b"screenshot:http://a.test/",
    b"http://a b/c d",
    b"whois://x",
    b"/relative",
]


@KINDS.add("addresses that are none")
def uri(rng: random.Random) -> Attack:
    value = rng.choice(URIS)
    made = Record(100, headers={b"WARC-Target-URI": value})
    return between(f"target {(value or b'none')[:30]!a}", [made.data()], rng, survives=bool(value), rows=5)


@KINDS.add("record ids")
def record_id(rng: random.Random) -> Attack:
    value = rng.choice(
        [
            b"-" * 36,
            b"<urn:uuid:" + b"-" * 36 + b">",
            b"",
            None,
            b"x" * 9_000,
            b"\xff",
            b"<urn:uuid:00000000-0000-4000-8000-000000000001>",
            b"<>",
        ]
    )
    made = Record(100, headers={b"WARC-Record-ID": value})
    return between(f"id {(value or b'none')[:30]!a}", [made.data()], rng, survives=True, rows=5)


@KINDS.add("dates beyond the calendar")
def date(rng: random.Random) -> Attack:
    value = rng.choice(
        [
            b"10000-01-01T00:00:00Z",
            b"0000-00-00T00:00:00Z",
            b"0001-01-01T00:00:00+14:00",
            b"9999-12-31T23:59:59-14:00",
            b"",
            None,
            b"yesterday",
            b"20240102030405",
            b"2024-01-02",
            b"\xff" * 20,
            b"2024-02-30T25:61:61Z",
        ]
    )
    made = Record(100, headers={b"WARC-Date": value})
    return between(f"date {value!a}", [made.data()], rng, survives=True, rows=5)


@KINDS.add("lengths that are none")
def no_length(rng: random.Random) -> Attack:
    value = rng.choice(
        [b"abc", b"12.5", b"1367, 1367", b"-5", b"", None, b"0x10", b"1e3", b"9" * 30, b"\xff", b"+12", b"1_000"]
    )
    made = Record(100, headers={b"Content-Length": value})
    return between(f"length {value!a}", [made.data()], rng, survives=False)


@KINDS.add("lengths that lie")
def false_length(rng: random.Random) -> Attack:
    real = len(Record(100).block())
    value = real + rng.choice([1, 2, 4, 50, 700, 5_000, 10**6, 10**9, 10**13, -1, -4, -50, -real + 1, -real])
    made = Record(100, headers={b"Content-Length": b"%d" % max(value, 0)})
    return between(f"length {value - real:+,}", [made.data()], rng, survives=False)


@KINDS.add("records of other kinds")
def other_kind(rng: random.Random) -> Attack:
    html_type: dict[bytes, bytes | None] = {b"Content-Type": b"text/html"}
    what, made, survives = rng.choice(
        [
            (
                "dns",
                Record(
                    100,
                    b"20240102030405\ngood.test.\t60\tIN\tA\t1.2.3.4\n",
                    b"",
                    {b"Content-Type": b"text/dns", b"WARC-Target-URI": b"dns:good.test"},
                ),
                False,
            ),
            ("unknown type", Record(100, headers={b"WARC-Type": b"continuation-x"}), False),
            ("no type", Record(100, headers={b"WARC-Type": None}), False),
            ("type in capitals", Record(100, headers={b"WARC-Type": b"RESPONSE"}), True),
            ("resource of HTML", Record(100, http=b"", headers={b"WARC-Type": b"resource", **html_type}), True),
            ("conversion of HTML", Record(100, http=b"", headers={b"WARC-Type": b"conversion", **html_type}), True),
            (
                "conversion of text",
                Record(100, prose(100).encode(), b"", {b"WARC-Type": b"conversion", b"Content-Type": b"text/plain"}),
                True,
            ),
            (
                "revisit of the first",
                Record(
                    100,
                    b"",
                    None,
                    {b"WARC-Type": b"revisit", b"WARC-Refers-To": b"<urn:uuid:00000000-0000-4000-8000-000000000001>"},
                ),
                False,
            ),
            (
                "revisit of nothing",
                Record(100, b"", None, {b"WARC-Type": b"revisit", b"WARC-Refers-To-Target-URI": b"http://[bad/"}),
                False,
            ),
            ("truncated", Record(100, headers={b"WARC-Truncated": b"length"}), True),
            ("metadata", Record(100, b"a: b\r\n", b"", {b"WARC-Type": b"metadata"}), False),
        ]
    )
    return between(what, [made.data()], rng, survives=survives)


@KINDS.add("headers of odd form")
def odd_header(rng: random.Random) -> Attack:
    plain = Record(100).data()
    what, data, survives = rng.choice(
        [
            ("bare LF", Record(100, end=b"\n").data(), True),
            (
                "names in lower case",
                plain.replace(b"WARC-Type", b"warc-type").replace(b"Content-Length", b"content-length", 1),
                True,
            ),
            (
                "names in capitals",
                plain.replace(b"WARC-Type", b"WARC-TYPE").replace(b"Content-Length", b"CONTENT-LENGTH", 1),
                True,
            ),
            ("a header without a colon", plain.replace(b"WARC-Date", b"nonsense\r\nWARC-Date", 1), True),
            ("a folded header", plain.replace(b"2024-01-02", b"\r\n 2024-01-02", 1), True),
            ("NUL in a header", plain.replace(b"2024-01-02", b"\0", 1), False),
            ("a long header", plain.replace(b"2024-01-02", b"x" * 200_000, 1), False),
            ("version 1.1", Record(100, version=b"WARC/1.1").data(), True),
            ("version 0.18", Record(100, version=b"WARC/0.18").data(), False),
            ("version 9.9", Record(100, version=b"WARC/9.9").data(), False),
            ("twice the length", plain.replace(b"Content-Length", b"Content-Length: 5\r\nContent-Length", 1), False),
        ]
    )
    return between(what, [data], rng, survives=survives)


@KINDS.add("HTTP of odd form")
def odd_http(rng: random.Random) -> Attack:
    html_type = b"Content-Type: text/html\r\n\r\n"
    what, http, survives = rng.choice(
        [
            ("status 99999", b"HTTP/1.1 99999 X\r\n" + html_type, False),
            ("status abc", b"HTTP/1.1 abc X\r\n" + html_type, False),
            ("no status", b"HTTP/1.1\r\n" + html_type, False),
            ("negative status", b"HTTP/1.1 -200 X\r\n" + html_type, False),
            ("no reason", b"HTTP/1.1 200\r\n" + html_type, True),
            ("bare LF", b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n", True),
            ("HTTP/2", b"HTTP/2 200\r\n" + html_type, True),
            ("no head", b"", False),
            ("no end of the head", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", False),
            ("binary names", b"HTTP/1.1 200 OK\r\n\xff\xfe: \xff\r\n" + html_type, True),
            ("a thousand headers", b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1_000 + html_type, True),
            ("a long header", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n" + html_type, True),
            ("NUL", b"HTTP/1.1 200 OK\r\nX: \0\r\n" + html_type, True),
            ("space before the colon", b"HTTP/1.1 200 OK\r\nX : y\r\n" + html_type, True),
        ]
    )
    return between(what, [Record(100, http=http).data()], rng, survives=survives)


@KINDS.add("encodings that lie")
def encoding(rng: random.Random) -> Attack:
    plain = page(100)
    deflate = zlib.compressobj(wbits=-15)
    raw = deflate.compress(plain) + deflate.flush()
    what, name, body = rng.choice(
        [
            (f"{n} over a plain body", n, plain)
            for n in ("gzip", "br", "zstd", "deflate", "none", "utf-8", "x-gzip", "identity", "gzip, br", "\x1b[2J", "")
        ]
        + [
            ("gzip", "gzip", gzip.compress(plain)),
            ("x-gzip", "x-gzip", gzip.compress(plain)),
            ("raw deflate", "deflate", raw),
            ("zlib deflate", "deflate", zlib.compress(plain)),
            ("zstd", "zstd", zstandard.compress(plain)),
            ("gzip called br", "br", gzip.compress(plain)),
            ("gzip twice", "gzip, gzip", gzip.compress(gzip.compress(plain))),
            ("gzip without its end", "gzip", gzip.compress(plain)[:-8]),
            ("gzip and garbage", "gzip", gzip.compress(plain) + b"garbage"),
        ]
    )
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {name}\r\n\r\n".encode("latin-1")
    return between(what, [Record(100, body, http).data()], rng, survives=True, rows=5, exactly=True)


@KINDS.add("encodings that lie")
def chunked(rng: random.Random) -> Attack:
    plain = page(100)
    what, body, survives = rng.choice(
        [
            ("chunked that is not", plain, True),
            ("chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(plain), plain), True),
            ("a chunk too long", b"%x\r\n%s\r\n0\r\n\r\n" % (len(plain) + 99, plain), False),
            ("a chunk without end", b"ffffffffffffffffffff\r\n" + plain, False),
            ("a negative chunk", b"-5\r\n" + plain, False),
            ("chunks cut", b"%x\r\n%s" % (len(plain), plain), False),
        ]
    )
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    return between(what, [Record(100, body, http).data()], rng, survives=survives, rows=5, exactly=True)


CHARSETS = [
    "undefined",
    "idna",
    "punycode",
    "utf-7",
    "rot13",
    "base64",
    "hex",
    "zlib",
    "unicode_escape",
    "raw_unicode_escape",
    "mbcs",
    "oem",
    "cp65001",
    "x-user-defined",
    "utf-8-sig",
    "",
    "\x1b[2J",
    "x" * 9_000,
    "utf-16",
    "utf-32",
    "iso-2022-kr",
    "replacement",
    "none",
    "null",
    "utf8; charset=idna",
]


@KINDS.add("charsets that are none")
def charset(rng: random.Random) -> Attack:
    name = rng.choice(CHARSETS)
    if rng.random() < 0.5:
        http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={name}\r\n\r\n".encode()
        made = Record(100, http=http)
    else:
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        made = Record(100, page(100, f'<meta charset="{name}">'), http)
    return between(
        f"charset {name[:20]!a}",
        [made.data()],
        rng,
        survives=name not in ("utf-16", "utf-32", "iso-2022-kr", "replacement"),
        rows=5,
    )


@KINDS.add("pages that attack")
def hostile_page(rng: random.Random) -> Attack:
    deep = "<div>" * 60_000
    linked = '<script type="application/ld+json">{}</script>'
    what, body = rng.choice(
        [
            ("deep nesting", f"<html><body>{deep}<p>{prose(100)}</p></body></html>".encode()),
            ("half a tag", b"<" * 300_000 + page(100)),
            ("an unclosed comment", page(100) + b"<!--" * 50_000),
            ("NULs", page(100).replace(b" ", b"\0 ")),
            ("surrogates as entities", page(100, "<title>&#xD800;&#55296;</title>")),
            ("huge entities", page(100).replace(b"page", b"&#99999999999999999999;page")),
            ("JSON-LD of surrogates", page(100, linked.format('{"headline": "\\\\ud800", "author": "\\\\udc00"}'))),
            ("JSON-LD deep", page(100, linked.format("[" * 100_000))),
            ("JSON-LD of huge numbers", page(100, linked.format('{"datePublished": ' + "9" * 5_000 + "}"))),
            ("JSON-LD of NaN", page(100, linked.format('{"datePublished": NaN, "author": [NaN, {}]}'))),
            (
                "a date beyond",
                page(100, '<meta property="article:published_time" content="99999-99-99T99:99:99+99:99">'),
            ),
            ("many attributes", b"<p " + b'a="b" ' * 100_000 + b">" + page(100)),
            ("a huge attribute", b'<p title="' + b"x" * 2_000_000 + b'">' + page(100)),
            ("bidi and controls", page(100, "<title>\u202e\x1b[2J\u2028</title>")),
            ("a doctype bomb", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + page(100)),
            ("a table without end", b"<table><tr><td>" * 30_000 + page(100)),
            ("text of one word", f"<p>{'x' * 3_000_000}</p>".encode() + page(100)),
        ]
    )
    return between(what, [Record(100, body).data()], rng, survives=False, rows=5)


@KINDS.add("bombs")
def http_bomb(rng: random.Random) -> Attack:
    size = 400_000_000
    name = rng.choice(["gzip", "deflate", "zstd"])
    data = {
        "gzip": lambda: gzip.compress(bytes(size), 1),
        "deflate": lambda: zlib.compress(bytes(size), 1),
        "zstd": lambda: zstandard.compress(bytes(size), 1),
    }[name]()
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {name}\r\n\r\n".encode()
    return between(f"{name} of {size:,} bytes", [Record(100, data, http).data()], rng, survives=False, rows=5)


@KINDS.add("bytes that are no records")
def garbage(rng: random.Random) -> Attack:
    what, data = rng.choice(
        [
            ("garbage", rng.randbytes(rng.choice([1, 100, 5_000]))),
            ("blank lines", b"\r\n" * rng.choice([1, 500])),
            ("zeros", bytes(3_000)),
            ("text", b"WARC files are fine\n" * 20),
            ("a bare version", b"WARC/1.0\r\n"),
            ("a header without end", b"WARC/1.0\r\nWARC-Type: response\r\n"),
            ("half a record", Record(100).data()[: rng.randrange(10, 400)]),
            ("the end of a record", Record(100).data()[rng.randrange(10, 400) :]),
            ("gzip magic", b"\x1f\x8b\x08" * 30),
            ("a pile of versions", b"WARC/1.0\r\n\r\n" * 300),
        ]
    )
    return between(what, [data], rng, survives=False)


@KINDS.add("damaged archives")
def damaged_archive(rng: random.Random) -> Attack:
    records = [Record(n).data() for n in range(1, 21)]
    packed = rng.random() < 0.6
    parts = [gzip.compress(r, mtime=0) for r in records] if packed else records
    starts = [sum(map(len, parts[:i])) for i in range(len(parts) + 1)]
    data = bytearray(b"".join(parts))
    how = rng.choice(["cut", "flip", "zeros", "hole", "insert", "many flips"])
    at, size = rng.randrange(len(data)), rng.choice([1, 40, 3_000])
    hurt = [(at, at + 1)]
    if how == "cut":
        hurt = [(at, len(data))]
        del data[at:]
    elif how == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif how == "many flips":
        hurt = [(p, p + 1) for p in (rng.randrange(len(data)) for _ in range(4))]
        for p, _ in hurt:
            data[p] ^= 1 << rng.randrange(8)
    elif how == "insert":
        data[at:at] = rng.randbytes(size)
    else:
        hurt = [(at, min(at + size, len(data)))]
        data[at : at + size] = bytes(hurt[0][1] - at) if how == "zeros" else b""
    whole = [i + 1 for i in range(20) if not any(a < starts[i + 1] and b > starts[i] for a, b in hurt)]
    files = {b"hurt.warc.gz" if packed else b"hurt.warc": bytes(data), b"neighbour.warc": Record(30).data()}
    return Attack(f"{how} {'gz' if packed else 'plain'}", files, marks([*whole, 30]))


@KINDS.add("WET of odd form")
def wet(rng: random.Random) -> Attack:
    def text(n: int, **more: bytes | None) -> bytes:
        headers: dict[bytes, bytes | None] = {b"WARC-Type": b"conversion", b"Content-Type": b"text/plain"}
        return Record(
            n, prose(n).encode(), b"", headers | {k.replace("_", "-").encode(): v for k, v in more.items()}
        ).data()

    what, bad = rng.choice(
        [
            ("a bad target", text(100, WARC_Target_URI=b"http://[bad/")),
            ("no target", text(100, WARC_Target_URI=None)),
            ("a bad length", text(100, Content_Length=b"x")),
            ("a long length", text(100, Content_Length=b"99999")),
            ("a short length", text(100, Content_Length=b"9")),
            ("not UTF-8", Record(100, b"\xff\xfe" * 50, b"", {b"WARC-Type": b"conversion"}).data()),
            ("empty", Record(100, b"", b"", {b"WARC-Type": b"conversion"}).data()),
            ("no type of content", text(100, Content_Type=None)),
            ("controls", text(100).replace(b"The ", b"\x1b[2J")),
        ]
    )
    parts = [text(1), bad, text(2)]
    gz = rng.random() < 0.5
    data = b"".join(gzip.compress(p) for p in parts) if gz else b"".join(parts)
    files = {b"in.warc.wet.gz" if gz else b"in.wet": data, b"neighbour.wet": text(3)}
    return Attack(what, files, marks([1, 2, 3]))


assert mark(1) in prose(1)
