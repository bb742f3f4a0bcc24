"""The books of an archive: every byte belongs to a record or to a gap, and a damaged record costs only itself."""

from __future__ import annotations

import gzip
import itertools
import random
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.frames import Piece, pieces
from pipeline.ingest.warc import Tally, captures, offsets
from tests.ingest.archives import LAYOUTS, Made, laid_out, response

BODY = st.binary(max_size=400) | st.sampled_from(
    [b"", b"WARC/1.0\r\n", b"\r\n\r\n", b"text\r\n\r\nWARC/1.1\r\n", b"x" * 3_000]
)
ENDS = st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b"", b"\r\n\r\n\r\n\r\n"])


def found(data: bytes, *, suffix: str = ".warc", max_block: int = 1 << 20) -> list[Piece]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        made = list(pieces(path, max_block=max_block))
        for piece in made:
            piece.block = bytes(piece.block)
    assert sum(p.size for p in made) == len(data)
    assert all(a.offset <= b.offset for a, b in itertools.pairwise(made))
    return made


def ids(made: list[Piece]) -> set[bytes]:
    """Records that can be read, by their header and block."""
    return {p.head + bytes(p.block) for p in made if p.head and not p.problem}


@given(st.lists(st.tuples(BODY, ENDS), min_size=1, max_size=8), st.sampled_from(LAYOUTS), st.booleans())
def test_whole_records_are_read_in_every_layout(bodies: list[tuple[bytes, bytes]], layout: str, bare: bool) -> None:
    newline = b"\n" if bare else b"\r\n"
    records = [response(i, body) for i, (body, _) in enumerate(bodies)]
    for record, (_, end) in zip(records, bodies, strict=True):
        record.end, record.newline = end, newline
    data, _ = laid_out([r.bytes() for r in records], layout)
    made = found(data)
    assert [(p.problem, bytes(p.block)) for p in made] == [("", r.block) for r in records]
    assert len({(p.offset, p.inside) for p in made}) == len(records)


@given(
    st.lists(BODY, min_size=1, max_size=8),
    st.sampled_from(["plain", "gzip", "zstd"]),
    st.sampled_from(["flip", "cut", "remove", "insert", "zero"]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=300)
def test_damage_costs_the_records_that_it_hits_and_no_others(
    bodies: list[bytes], layout: str, how: str, chance: random.Random
) -> None:
    records = [response(i, body.replace(b"WARC/1", b"WARC 1")).bytes() for i, body in enumerate(bodies)]
    data, places = laid_out(records, layout)
    at = chance.randrange(len(data))
    size = chance.randrange(1, 60)
    hurt, spoiled = {
        "flip": (data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :], (at, at + 1)),
        "cut": (data[:at], (at, len(data))),
        "remove": (data[:at] + data[at + size :], (at, at + size)),
        "insert": (data[:at] + chance.randbytes(size) + data[at:], (at, at + 1)),
        "zero": (data[:at] + bytes(len(data[at : at + size])) + data[at + size :], (at, at + size)),
    }[how]
    made = found(hurt)
    good = [r for r, (a, b) in zip(records, places, strict=True) if b <= spoiled[0] or a >= spoiled[1]]
    assert {r.removesuffix(b"\r\n\r\n") for r in good} <= ids(made)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", ["99999999", "70000", "5", "0", "abc", "12.5", "-4", "", "1e3", "9" * 30])
def test_a_wrong_length_costs_only_its_record(layout: str, length: str) -> None:
    records = [response(i, bytes([65 + i % 26]) * (100 + i)) for i in range(200)]
    records[3].length = length
    made = found(laid_out([r.bytes() for r in records], layout)[0])
    whole = [p for p in made if not p.problem]
    assert [bytes(p.block) for p in whole] == [r.block for i, r in enumerate(records) if i != 3]
    (bad,) = [p for p in made if p.problem]
    assert (length or "none") in bad.problem.replace(",", "")
    if layout in ("plain", "gzip", "zstd"):
        assert bad.size > 0


def test_the_same_length_twice_is_one() -> None:
    record = response(0, b"some body")
    record.length = f"{len(record.block)}, {len(record.block)}"
    (made,) = found(record.bytes())
    assert (made.problem, made.block) == ("", record.block)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_long_block_is_passed_over(layout: str) -> None:
    records = [response(i, random.Random(i).randbytes(400_000 if i == 1 else 100)) for i in range(4)]
    made = found(laid_out([r.bytes() for r in records], layout)[0], max_block=10_000)
    assert [(p.problem, p.length) for p in made] == [("", len(r.block)) for r in records]
    assert [bool(p.block) for p in made] == [True, False, True, True]


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
def test_a_bomb_is_passed_over_in_bounded_memory(packed: object, tmp_path: Path) -> None:
    """150 MB of zeros in one record, among good ones; also behind a length that is wrong."""
    import tracemalloc

    for length in (None, "17"):
        bomb = response(1, b"\0" * (150 << 20))
        bomb.length = length
        path = tmp_path / "bomb.warc.gz"
        path.write_bytes(b"".join(packed(r.bytes()) for r in (response(0, b"first"), bomb, response(2, b"last"))))  # type: ignore[operator]
        del bomb
        tracemalloc.start()
        made = list(pieces(path, max_block=20_000_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [bool(p.block) for p in made] == [True, False, True]
        assert sum(p.size for p in made) == path.stat().st_size
        assert peak < 60 << 20


def test_zeros_behind_the_last_record_are_a_gap() -> None:
    data = gzip.compress(response(0, b"x").bytes()) + bytes(1_000)
    assert [(p.problem, p.size) for p in found(data)] == [("", len(data) - 1_000), ("no compressed data", 1_000)]


@given(st.lists(BODY, min_size=3, max_size=12), st.sampled_from(LAYOUTS), st.randoms(use_true_random=False))
def test_parts_read_what_the_whole_reads(bodies: list[bytes], layout: str, chance: random.Random) -> None:
    data = bytearray(laid_out([response(i, b).bytes() for i, b in enumerate(bodies)], layout)[0])
    for _ in range(chance.randrange(3)):
        data[chance.randrange(len(data))] ^= 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.warc"
        path.write_bytes(data)
        whole = [(c.offset, c.inside, c.record_id, c.broken) for c in captures(path, max_bytes=10_000)]
        cuts = sorted(chance.sample(sorted(set(offsets(path)) - {0}), k=min(2, len(set(offsets(path)) - {0}))))
        parts, tally = [], Tally()
        for a, b in zip([0, *cuts], [*cuts, None], strict=True):
            parts += [
                (c.offset, c.inside, c.record_id, c.broken) for c in captures(path, a, b, max_bytes=10_000, tally=tally)
            ]
        assert [p[:3] for p in parts] == [w[:3] for w in whole]
        assert tally.record_bytes + tally.gap_bytes == len(data)


def test_records_of_every_kind_are_counted(tmp_path: Path) -> None:
    kinds = ["warcinfo", "request", "response", "metadata", "continuation", "x-own"]
    made = [Made(b"a: b\r\n", {"Warc-Type": kind, "warc-record-id": "<urn:x>"}) for kind in kinds]
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(r.bytes() for r in made) + b"\0\0\0")
    tally = Tally()
    list(captures(path, max_bytes=100, tally=tally))
    assert tally.records == dict.fromkeys(kinds, 1)
    assert (tally.gaps, tally.gap_bytes, tally.record_bytes) == (1, 3, path.stat().st_size - 3)


@pytest.mark.parametrize("layout", ["gzip", "zstd"])
@pytest.mark.parametrize("length", [100, 400, 2_000, 90_000])
def test_a_length_too_large_of_a_tiny_record_costs_no_neighbour(layout: str, length: int) -> None:
    records = [Made(b"x", {"WARC-Type": "metadata"}), *(response(i, b"body %d" % i) for i in range(1, 9))]
    for bad in (0, 4, 7):
        made = [Made(r.block, r.fields) for r in records]
        made[bad].length = str(length)
        whole = [bytes(p.block) for p in found(laid_out([r.bytes() for r in made], layout)[0]) if not p.problem]
        assert whole == [r.block for i, r in enumerate(records) if i != bad]


MAGICS = {
    "names without end": b"\x1f\x8b\x08\x08" * 25_000,
    "frames in frames": b"\x28\xb5\x2f\xfd\x00\x58" + b"\x30\0\0\x28\xb5\x2f\xfd\x00\x58" * 10_000,
    "a byte in each member": b"".join(gzip.compress(bytes([b])) for b in response(0, b"x" * 4_000).bytes()),
    "a dictionary that is none": b"\x5d\x2a\x4d\x18\x40\0\0\0"
    + b"\x37\xa4\x30\xec"
    + bytes(60)
    + zstandard.compress(b"WARC"),
}


@pytest.mark.parametrize("kind", MAGICS)
def test_many_starts_of_members_take_time_in_proportion(kind: str) -> None:
    from time import process_time

    began = process_time()
    found(MAGICS[kind])
    assert process_time() - began < 3  # of a second and less; it was minutes


def test_headers_of_blanks_take_time_in_proportion() -> None:
    from time import process_time

    blanks = " " * 100_000 + "b"
    records = [
        response(0, b"x", f"X: a{blanks}\r\nno colon {blanks}"),
        Made(b"", {"WARC-Type": "response", "X-A": f"a{blanks}"}),
        Made(b"x", {"WARC-Type": "response", "Y": blanks}, length=f"1{blanks}"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.warc"
        path.write_bytes(b"".join(r.bytes() for r in records))
        began = process_time()
        assert len(list(captures(path, max_bytes=1_000_000))) == 3
        assert process_time() - began < 1


@pytest.mark.parametrize("before", [b"\r\n", b"\xef\xbb\xbf", b"junk\n"])
def test_an_archive_in_an_archive_does_not_say_how_the_outer_one_is_packed(before: bytes) -> None:
    inner = gzip.compress(response(5, b"inner").bytes())
    records = [response(0, b"first"), response(1, inner), response(2, b"last")]
    made = found(before + b"".join(r.bytes() for r in records))
    assert [bytes(p.block) for p in made if not p.problem] == [r.block for r in records]
