"""Hostile input files, each with good neighbours: what `hostile.py` throws at winnow. JSONL and Parquet; WARC lies in
`attacks_warc.py`.

An attack is a function of a random generator to files, registered under its kind; it is asked again and again, with other choices
and other damage each time. What must come out is part of it: the documents that have to be there, and how many rows at least have
a fate.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

WORDS = [
    "garden",
    "soil",
    "water",
    "light",
    "seed",
    "root",
    "leaf",
    "branch",
    "flower",
    "summer",
    "winter",
    "morning",
    "evening",
    "gentle",
    "narrow",
    "heavy",
    "quiet",
    "early",
    "plant",
    "carry",
    "gather",
    "harvest",
    "remember",
    "follow",
    "winding",
    "river",
    "meadow",
    "stone",
    "bridge",
    "wooden",
    "basket",
    "between",
    "under",
    "above",
    "because",
    "although",
    "during",
    "several",
    "people",
    "often",
    "rarely",
    "their",
    "every",
    "other",
    "small",
    "large",
    "country",
    "village",
    "neighbour",
]


@dataclass(frozen=True)
class Attack:
    """Files to read, and what has to come of them.

    Attributes:
        what: the attack in a few words. files: name -> bytes.
        must: marks of documents that have to be in the data.
        rows: how many rows have a fate, at least. exactly: whether there may be no more.
    """

    what: str
    files: dict[bytes, bytes]
    must: frozenset[str]
    rows: int = 0
    exactly: bool = False


Maker = Callable[[random.Random], Attack]


@dataclass
class Kinds:
    """Attacks by kind; a kind has several, which take turns."""

    makers: dict[str, list[Maker]] = field(default_factory=dict)

    def add(self, kind: str) -> Callable[[Maker], Maker]:
        def register(make: Maker) -> Maker:
            self.makers.setdefault(kind, []).append(make)
            return make

        return register


KINDS = Kinds()


def mark(n: int) -> str:
    return f"mark{n:05d}x"


def prose(n: int, words: int = 70) -> str:
    """Text that every gate lets pass, another for every n, with its mark in it."""
    rng = random.Random(n)
    body = " ".join(rng.choice(WORDS) for _ in range(words))
    return f"The {mark(n)} of this page is that {body}. And so it ends, with {rng.choice(WORDS)} and {mark(n)}."


def marks(numbers: Iterable[int]) -> frozenset[str]:
    return frozenset(map(mark, numbers))


def row(n: int, **more: Any) -> dict[str, Any]:
    return {"url": f"http://good.test/{n}", "text": prose(n), **more}


def lines(rows: Iterable[Any]) -> bytes:
    """JSONL; a text or bytes stands for itself."""
    made = [r if isinstance(r, bytes) else r.encode() if isinstance(r, str) else json.dumps(r).encode() for r in rows]
    return b"\n".join(made) + b"\n"


def packed(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """(suffix, bytes) of a JSONL file, compressed or not."""
    return rng.choice([(".jsonl", data), (".jsonl.gz", gzip.compress(data)), (".jsonl.zst", zstandard.compress(data))])


def among(what: str, hostile: list[Any], rng: random.Random, *, survives: bool) -> Attack:
    """Rows between good rows, in a file of any packing beside a good file. `hostile` rows have numbers from 100 on."""
    suffix, data = packed(lines([row(1), *hostile, row(2)]), rng)
    own = range(100, 100 + len(hostile)) if survives else range(0)
    files = {f"hostile{suffix}".encode(): data, b"neighbour.jsonl": lines([row(3)])}
    return Attack(what, files, marks([1, 2, 3, *own]), rows=3 + len(hostile))


BAD_URLS = [
    "http://[bad/",
    "http://\u2100.com/",
    "http://[::1/",
    "http://h:99999/",
    "http://h:port/",
    "",
    "//",
    "http://",
    "not a url",
    "javascript:alert(1)",
    "http://h/\x00\x1b",
    "http://h/\u202e",
    "http://h/\ud800",
    "http://" + "h" * 70_000 + "/",
    "http://h/" + "x" * 200_000,
    "http://user:pass@[::ffff:1.2.3.4%25eth0]:80/",
    "http://xn--/",
    "http://-.-/",
    "dns:good.test",
    5,
    1e999,
    True,
    [],
    ["http://a.test/"],
    {"a": 1},
]


@KINDS.add("addresses that are none")
def bad_url(rng: random.Random) -> Attack:
    url = rng.choice(BAD_URLS)
    return among(f"url {str(url)[:40]!a}", [row(100) | {"url": url}], rng, survives=True)


@KINDS.add("lone surrogates")
def surrogate(rng: random.Random) -> Attack:
    bad = rng.choice(["\ud800", "\udfff", "a\udc80b", "\ud83d", "\ude00\ud83d"])
    place: dict[str, Any] = rng.choice(
        [
            {"title": bad},
            {"text": f"{bad} {prose(100)}"},
            {"url": f"http://h.test/{bad}"},
            {bad: 1},
            {"x": {"y": [bad]}},
            {"x": {bad: bad}},
            {"date": bad},
            {"host": bad},
            {"language": bad},
            {"id": bad},
            {"metadata": bad},
        ]
    )
    return among(f"surrogate in {next(iter(place))!a}", [row(100) | place], rng, survives=True)


DATES = [
    "10000-01-01",
    "0000-00-00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "-0044-03-15",
    "9999-12-31T23:59:59Z",
    "2024-01-01T00:00:00+99:99",
    "2024-13-45",
    "2024-W01-1",
    10**30,
    -1,
    1e308,
    float("nan"),
    [],
    {},
    True,
    "\x00",
    "today" * 1000,
]


@KINDS.add("dates beyond the calendar")
def bad_date(rng: random.Random) -> Attack:
    date = rng.choice(DATES)
    return among(f"date {str(date)[:40]!a}", [row(100) | {"date": date}], rng, survives=True)


@KINDS.add("lines that are no rows")
def bad_line(rng: random.Random) -> Attack:
    line = rng.choice(
        [
            b"not json",
            b"[1, 2]",
            b"null",
            b"3",
            b'"text"',
            b"{",
            b'{"text": ',
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"\xff\xfe\x00",
            b"\x00" * 9,
            b'{"text": "\xff\xfe"}',
            b'{"text": NaN}',
            b'{"text": 1e999}',
            b'{"text": ' + b"9" * 5_000 + b"}",
            b'{"text": null}',
            b'{"text": ["a"]}',
            b'{"text": true}',
            b"{}",
            b'{"text": ""}',
            b'{"text": "   "}',
            b"\x1b[2J",
            b"\xef\xbb\xbf{}",
            b"{'text': 'a'}",
        ]
    )
    return among(f"line {line[:30]!a}", [line], rng, survives=False)


@KINDS.add("values that nobody expects")
def odd_value(rng: random.Random) -> Attack:
    deep: Any = 1
    for _ in range(rng.choice([50, 400])):
        deep = [deep]
    value = rng.choice(
        [deep, 10**400, -(10**400), float("inf"), float("nan"), "\0", "x" * 500_000, {"": {"": {}}}, [None, [], {}]]
    )
    name = rng.choice(
        [
            "title",
            "x",
            "",
            "doc_id",
            "signals",
            "text_bytes",
            "language",
            "host",
            "source",
            "rights",
            "\x1b[2J",
            "\u202e",
        ]
    )
    return among(f"{name!a} is {str(value)[:20]!a}", [row(100) | {name: value}], rng, survives=True)


@KINDS.add("text files of odd form")
def odd_file(rng: random.Random) -> Attack:
    good = lines([row(1), row(2)])
    what, data, kept = rng.choice(
        [
            ("byte order mark", b"\xef\xbb\xbf" + good, [2]),
            ("CRLF", good.replace(b"\n", b"\r\n"), [1, 2]),
            ("no last line end", good.strip(), [1, 2]),
            ("blank lines", b"\n \n\t\n" + good + b"\n" * 5_000, [1, 2]),
            ("UTF-16", good.decode().encode("utf-16"), []),
            ("empty", b"", []),
            ("binary", bytes(range(256)) * 100, []),
            ("a long line", b"x" * 60_000_000 + b"\n" + good, [1, 2]),
            ("NULs", b"\0" * 9 + b"\n" + good, [1, 2]),
        ]
    )
    suffix, packed_data = packed(data, rng)
    return Attack(
        f"{what} {suffix}",
        {f"odd{suffix}".encode(): packed_data, b"neighbour.jsonl": lines([row(3)])},
        marks([3, *kept]),
    )


def intact(data: bytes, whole: bytes) -> set[int]:
    """Numbers of the rows that stand unharmed in what a plain decompressor gets out of a damaged member."""
    there = set(data.split(b"\n"))
    return {n for n, line in enumerate(whole.split(b"\n"), 1) if line and line in there}


def _gz_prefix(data: bytes) -> bytes:
    """What comes out of a gzip member, byte by byte, before it fails."""
    unpack, found = zlib.decompressobj(31), b""
    try:
        for i in range(len(data)):
            found += unpack.decompress(data[i : i + 1])
    except zlib.error:
        pass
    return found


def _zst_prefix(data: bytes) -> bytes:
    unpack, found = zstandard.ZstdDecompressor().decompressobj(), b""
    try:
        for i in range(len(data)):
            found += unpack.decompress(data[i : i + 1])
    except zstandard.ZstdError:
        pass
    return found


@KINDS.add("damaged compressed text")
def damaged(rng: random.Random) -> Attack:
    whole = lines(row(n) for n in range(1, 40))
    gz = rng.random() < 0.6
    member = gzip.compress(whole, mtime=0) if gz else zstandard.ZstdCompressor(write_checksum=True).compress(whole)
    changed = bytearray(member)
    how = rng.choice(["cut", "flip", "zeros", "checksum"])
    if how == "cut":
        del changed[rng.randrange(len(changed)) :]
    elif how == "flip":
        changed[rng.randrange(12, len(changed))] ^= 1 << rng.randrange(8)
    elif how == "zeros":
        at = rng.randrange(12, len(changed) - 20)
        changed[at : at + 20] = bytes(20)
    else:
        changed[-6] ^= 255
    left = intact((_gz_prefix if gz else _zst_prefix)(bytes(changed)), whole)
    first, last = (lines([row(n)]) for n in (50, 51))
    around = (
        [gzip.compress(first), gzip.compress(last)] if gz else [zstandard.compress(first), zstandard.compress(last)]
    )
    data, kept = bytes(changed), {*left}
    shape = rng.choice(["alone", "behind a good member", "between good members"])
    if shape != "alone":
        data, kept = around[0] + data, {*kept, 50}
    if shape == "between good members" and how != "cut":
        data, kept = data + around[1], {*kept, 51}
    files = {b"hurt.jsonl.gz" if gz else b"hurt.jsonl.zst": data, b"neighbour.jsonl": lines([row(60)])}
    return Attack(f"{'gzip' if gz else 'zstd'} {how}, {shape}", files, marks([*kept, 60]))


@KINDS.add("compressed files that are none")
def false_packing(rng: random.Random) -> Attack:
    good = lines([row(1)])
    suffix = rng.choice([".jsonl.gz", ".jsonl.zst", ".warc.gz", ".parquet", ".ndjson.gz"])
    content = rng.choice(
        [
            b"",
            b"\x1f\x8b",
            b"\x1f\x8b\x08" + b"\0" * 20,
            b"garbage" * 50,
            good,
            b"\x28\xb5\x2f\xfd",
            b"PAR1PAR1",
            bytes(300),
        ]
    )
    kept = [1] if content == good and suffix == ".jsonl" else []
    return Attack(
        f"{suffix} of {content[:12]!a}",
        {f"false{suffix}".encode(): content, b"neighbour.jsonl": lines([row(3)])},
        marks([3, *kept]),
    )


@KINDS.add("bombs")
def bomb(rng: random.Random) -> Attack:
    size = 300_000_000
    what = rng.choice(["blanks in gz", "blanks in zst", "a line in gz", "nested gz"])
    if what == "blanks in gz":
        name, data = "bomb.jsonl.gz", gzip.compress(b" " * size, 1) + gzip.compress(lines([row(1)]))
        return Attack(what, {name.encode(): data, b"neighbour.jsonl": lines([row(3)])}, marks([3]))
    if what == "blanks in zst":
        name, data = "bomb.jsonl.zst", zstandard.compress(b"\n" * size, 1) + zstandard.compress(lines([row(1)]))
    elif what == "a line in gz":
        name, data = (
            "bomb.jsonl.gz",
            gzip.compress(b'{"text": "' + b"a" * size + b'"}\n', 1) + gzip.compress(lines([row(1)])),
        )
    else:
        name, data = "bomb.jsonl.gz", gzip.compress(lines([row(1)]) + gzip.compress(bytes(size), 1) + b"\n")
    return Attack(what, {name.encode(): data, b"neighbour.jsonl": lines([row(3)])}, marks([1, 3]))


def parquet(columns: dict[str, Any], **how: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **how)
    return buffer.getvalue()


def texts(*numbers: int) -> dict[str, Any]:
    return {"url": [f"http://good.test/{n}" for n in numbers], "text": [prose(n) for n in numbers]}


def not_utf8(*values: bytes) -> pa.Array:
    """A column that says it is text and is not."""
    ends = [0]
    for value in values:
        ends.append(ends[-1] + len(value))
    offsets = b"".join(e.to_bytes(4, "little") for e in ends)
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    )


@KINDS.add("Parquet columns of odd types")
def odd_column(rng: random.Random) -> Attack:
    column: pa.Array = rng.choice(
        [
            pa.array([1, 2**62], pa.timestamp("ns")),
            pa.array([1, 2], pa.timestamp("ns", "UTC")),
            pa.array([2**62, -(2**62)], pa.timestamp("us")),
            pa.array([10**15, 1], pa.timestamp("s")),
            pa.array([1, 2], pa.timestamp("us", "Mars/Olympus")),
            pa.array([1, 2**62], pa.duration("ns")),
            not_utf8(b"\xff\xfe", b"ok"),
            pa.array([b"\xff", None]),
            pa.array([2**31 - 1, -(2**31)], pa.date32()),
            pa.array([1.5, float("nan")]),
            pa.array([1, 2], pa.time64("ns")),
            pa.array([1.5, 2.5], pa.float16()),
            pa.array([{"a": [1]}, None]),
            pa.nulls(2),
            pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), not_utf8(b"\xff", b"x")),
            pa.StructArray.from_arrays([not_utf8(b"\xff", b"x")], ["y"]),
            pa.array(["a", "b"]).dictionary_encode(),
            pa.array([10**37, None], pa.decimal128(38, 0)),
        ]
    )
    name = rng.choice(["unused", "date", "title", "id", "host", "doc_id", "\x1b[2J", "", "language"])
    data = parquet({**texts(1, 2), name: column})
    return Attack(
        f"{name!a} of {column.type}",
        {b"odd.parquet": data, b"neighbour.parquet": parquet(texts(3))},
        marks([1, 2, 3]),
        3,
        True,
    )


@KINDS.add("Parquet texts of odd types")
def odd_text(rng: random.Random) -> Attack:
    values = [prose(1), prose(2)]
    what, column, kept = rng.choice(
        [
            ("binary", pa.array([v.encode() for v in values]), [1, 2]),
            ("large string", pa.array(values, pa.large_string()), [1, 2]),
            ("dictionary", pa.array(values).dictionary_encode(), [1, 2]),
            ("binary, one not UTF-8", pa.array([values[0].encode(), b"\xff\xfe"]), [1]),
            ("string, one not UTF-8", not_utf8(values[0].encode(), b"\xff\xfe"), [1]),
            ("numbers", pa.array([1, 2]), []),
            ("nulls", pa.nulls(2), []),
            ("lists", pa.array([["a"], ["b"]]), []),
            ("structs", pa.array([{"t": "a"}, {"t": "b"}]), []),
            ("one null", pa.array([values[0], None]), [1]),
        ]
    )
    data = parquet({"url": texts(1, 2)["url"], "text": column})
    return Attack(what, {b"odd.parquet": data, b"neighbour.parquet": parquet(texts(3))}, marks([3, *kept]), 3)


@KINDS.add("damaged Parquet")
def damaged_parquet(rng: random.Random) -> Attack:
    data = bytearray(parquet(texts(*range(1, 30)), row_group_size=5, compression="zstd"))
    how = rng.choice(["cut", "flip", "empty", "garbage", "footer", "no rows", "no columns", "no text"])
    if how == "cut":
        del data[rng.randrange(len(data)) :]
    elif how == "flip":
        for _ in range(rng.choice([1, 4, 40])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == "footer":
        data[-8:-4] = rng.randbytes(4)
    else:
        made = {
            "empty": b"",
            "garbage": rng.randbytes(500),
            "no rows": parquet({"url": pa.array([], pa.string()), "text": pa.array([], pa.string())}),
            "no columns": parquet({}),
            "no text": parquet({"url": ["http://a.test/"]}),
        }
        data = bytearray(made[how])
    return Attack(how, {b"hurt.parquet": bytes(data), b"neighbour.parquet": parquet(texts(40, 41))}, marks([40, 41]))


@KINDS.add("bombs")
def parquet_bomb(rng: random.Random) -> Attack:
    """A few kilobytes whose dictionary makes gigabytes."""
    rows, long = rng.choice([(600, 1_000_000), (30_000, 20_000)])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * long]))
    name = rng.choice(["text", "unused"])
    base: dict[str, Any] = {"url": [f"http://bomb.test/{i}" for i in range(rows)]}
    columns = (
        {**base, "text": [f"short text {i}" for i in range(rows)], name: column}
        if name == "unused"
        else {**base, "text": column}
    )
    data = parquet(columns, compression="zstd")
    return Attack(f"dictionary in {name}", {b"bomb.parquet": data, b"neighbour.parquet": parquet(texts(3))}, marks([3]))


@KINDS.add("file names")
def file_name(rng: random.Random) -> Attack:
    name = rng.choice(
        [
            b"\xff\xfe",
            b"\x1b[2J",
            b"a\nb",
            "\u202egnp".encode(),
            b" ",
            b"-",
            b"--out",
            b"'\"$(x)`",
            b"%s{}",
            b"x" * 200,
            "ü日本".encode(),
        ]
    )
    suffix, data = packed(lines([row(1)]), rng)
    return Attack(
        f"name {name[:20]!a}", {name + suffix.encode(): data, b"neighbour.jsonl": lines([row(3)])}, marks([1, 3]), 2
    )
