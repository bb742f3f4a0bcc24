"""Every line that decompresses is read, and what is lost is told with its place."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.dataset import Source
from pipeline.ingest import lines as module
from pipeline.ingest.cuts import cuts
from pipeline.ingest.lines import Damage, Line, lines
from pipeline.ingest.rows import Broken, jsonl_rows

PIECE = st.sampled_from([b"", b" ", b"abc", b"\t\t", b"{a}", b"y y", b"x" * 40])
END = st.sampled_from([b"\n", b"\r\n", b"\n\n"])


def rows(count: int) -> list[bytes]:
    return [
        json.dumps({"n": i, "text": f"row {i} " * (1 + i % 7), "noise": random.Random(i).random()}).encode()
        for i in range(count)
    ]


def read(path: Path, data: bytes) -> tuple[list[int], list[Broken]]:
    path.write_bytes(data)
    found = [row for _, row in jsonl_rows(Source(path, ""), max_bytes=10_000)]
    return [r["n"] for r in found if isinstance(r, dict)], [r for r in found if isinstance(r, Broken)]


@given(
    st.lists(st.tuples(PIECE, END), max_size=12),
    st.sampled_from([b"", b"tail", b"  "]),
    st.sampled_from([4, 16, 1 << 20]),
)
def test_lines_are_those_that_a_split_finds(pieces: list[tuple[bytes, bytes]], tail: bytes, chunk: int) -> None:
    data = b"".join(a + b for a, b in pieces) + tail
    split = [(i, line) for i, line in enumerate(data.split(b"\n")) if line.strip()]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        plain, packed = Path(folder) / "a.jsonl", Path(folder) / "a.jsonl.gz"
        plain.write_bytes(data)
        packed.write_bytes(gzip.compress(data))
        for path in (plain, packed):
            found = [line for line in lines(path, max_bytes=30) if isinstance(line, Line)]
            assert [f.text.strip() for f in found] == [
                b"" if len(line.strip()) > 30 else line.strip() for _, line in split
            ]
            assert all(f.length > 30 or f.text for f in found)
        assert [f.position for f in lines(packed, max_bytes=30)] == [i for i, _ in split]


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
def test_of_a_cut_file_every_line_that_decompresses_is_read(packed: object, tmp_path: Path) -> None:
    made = rows(400)
    whole = packed(b"\n".join(made))  # type: ignore[operator]
    for share in (0.1, 0.5, 0.9, 0.99):
        cut = whole[: int(len(whole) * share)]
        there = (gzip_prefix if packed is gzip.compress else zstd_prefix)(cut)
        good, bad = read(tmp_path / "a.jsonl.x", cut)
        assert good == list(range(len(good)))
        assert len(good) >= there.count(b"\n")
        assert len(bad) == 1
        assert bad[0].damage


def gzip_prefix(data: bytes) -> bytes:
    import zlib

    return zlib.decompressobj(31).decompress(data)


def zstd_prefix(data: bytes) -> bytes:
    import io

    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data))
    got = b""
    while piece := reader.read(1 << 16):
        got += piece
    return got


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
def test_a_damaged_member_costs_only_itself(packed: object, tmp_path: Path) -> None:
    made = rows(300)
    members = [packed(b"\n".join(made[i : i + 100]) + b"\n") for i in (0, 100, 200)]  # type: ignore[operator]
    hurt = bytearray(members[1])
    hurt[len(hurt) // 2 : len(hurt) // 2 + 8] = bytes(8)
    good, bad = read(tmp_path / "a.jsonl.x", members[0] + bytes(hurt) + members[2])
    assert set(good) >= {*range(100), *range(200, 300)}
    assert any(b.damage and "bytes skipped from byte" in b.problem for b in bad)


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
def test_a_wrong_checksum_is_told_and_every_line_read(packed: object, tmp_path: Path) -> None:
    data = bytearray(packed(b"\n".join(rows(50))))  # type: ignore[operator]
    data[-2 if data[0] == 0x28 else -6] ^= 1
    good, bad = read(tmp_path / "a.jsonl.gz", bytes(data))
    assert good == list(range(50))
    assert [b.damage for b in bad] == [True]


@pytest.mark.parametrize("junk", [b"\0" * 500, b"garbage behind the end", gzip.compress(b"")])
def test_what_follows_the_last_member(tmp_path: Path, junk: bytes) -> None:
    good, bad = read(tmp_path / "a.jsonl.gz", gzip.compress(b"\n".join(rows(5))) + junk)
    assert good == list(range(5))
    assert [b.damage for b in bad] == ([] if junk[:2] == b"\x1f\x8b" else [True])


def test_a_file_of_another_packing_than_its_name_says(tmp_path: Path) -> None:
    text = b"\n".join(rows(5))
    assert read(tmp_path / "a.jsonl.gz", text) == (list(range(5)), [])
    assert read(tmp_path / "b.jsonl", gzip.compress(text)) == (list(range(5)), [])


@pytest.mark.parametrize("fill", [b" ", b"\n", b"x", b"\r\n "])
def test_gigabytes_of_nothing_cost_no_memory(tmp_path: Path, fill: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    monkeypatch.setattr(module, "MAX_WASTE_BYTES", 50 << 20)
    path = tmp_path / "a.jsonl.gz"
    made = rows(10)
    nothing = gzip.compress(b"\n" + fill * ((200 << 20) // len(fill)) + b"\n")
    path.write_bytes(gzip.compress(b"\n".join(made[:5]) + b"\n") + nothing + gzip.compress(b"\n".join(made[5:])))
    tracemalloc.start()
    found = list(jsonl_rows(Source(path, ""), max_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [r["n"] for _, r in found if isinstance(r, dict)] == list(range(10))
    if fill != b"x":  # an over-long line is known for one only at its end
        (lost,) = [r for _, r in found if isinstance(r, Broken)]
        assert lost.damage
        assert 0 < lost.lost < len(nothing)
    assert peak < 30 << 20


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=50)
def test_parts_read_what_the_whole_reads(chance: random.Random, members: int) -> None:
    made = rows(60)
    step = -(-60 // members)
    data = bytearray(b"".join(gzip.compress(b"\n".join(made[i : i + step]) + b"\n") for i in range(0, 60, step)))
    for _ in range(chance.randrange(3)):
        data[chance.randrange(len(data))] ^= 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl.gz"
        path.write_bytes(data)
        whole = list(lines(path, max_bytes=1_000))
        at = [0, *cuts(path, "jsonl", max(len(data) // 4, 1))]
        parts = [x for a, b in zip(at, [*at[1:], None], strict=True) for x in lines(path, a, b, max_bytes=1_000)]
        assert parts == whole
        assert len({p.position for p in whole}) == len(whole)
        assert all(d.lost >= 0 and d.offset + d.lost <= len(data) for d in whole if isinstance(d, Damage))
