"""Whatever a column holds, a row comes out; a damaged part of a file costs only itself."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest import parquet
from pipeline.ingest.parquet import LostRows, cuts, rows, to_rows

FAR = [-(2**63) + 1, -1, 0, 1, 1_700_000_000_123_456_789, 2**63 - 1]
BAD_TEXT = pa.StringArray.from_buffers(
    3, pa.py_buffer(b"\0\0\0\0\3\0\0\0\6\0\0\0\7\0\0\0"), pa.py_buffer(b"ab\xff\xc3\x28cd")
)


def columns() -> dict[str, pa.Array]:
    n = len(FAR)
    made: dict[str, pa.Array] = {
        f"{unit} {zone}": pa.array(FAR, pa.timestamp(unit, tz=zone or None))
        for unit in ("s", "ms", "us", "ns")
        for zone in ("", "UTC", "+05:30", "Mars/Olympus")
    }
    made |= {f"d {unit}": pa.array(FAR, pa.duration(unit)) for unit in ("s", "ns")}
    made["date"] = pa.array([-(2**31), -1, 0, 1, 2**31 - 1, 5], pa.date32())
    made["time"] = pa.array([1, 2, 3, 4, 5, 86_399_999_999_999], pa.time64("ns"))
    made["text"] = pa.concat_arrays([BAD_TEXT, BAD_TEXT])
    made["bytes"] = pa.array([b"\xff", b"a", None, b"", b"b", b"c"])
    made["word"] = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2, 0, 1], pa.int8()), BAD_TEXT)
    made["struct"] = pa.StructArray.from_arrays([made["ns Mars/Olympus"], made["text"]], ["when", "what"])
    made["list"] = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3, 4, 5, 6], pa.int32()), made["s UTC"])
    made["map"] = pa.array([[("a", 1)]] * n, pa.map_(pa.string(), pa.int64()))
    made["float"] = pa.array([float("nan"), float("inf"), 0.0, -0.0, 1e308, None])
    made["decimal"] = pa.array([None] * n, pa.decimal128(38, 10))
    made["null"] = pa.nulls(n)
    return made


@pytest.mark.parametrize("name", [*columns(), None])
def test_every_type_gives_a_value_for_every_row(name: str | None) -> None:
    made = columns() if name is None else {name: columns()[name]}
    found = to_rows(pa.table({"good": list("abcdef")} | made).combine_chunks().to_batches()[0])
    assert [r["good"] for r in found] == list("abcdef")
    assert all(set(r) == {"good", *made} for r in found)
    str(found)


def read(path: Path) -> tuple[list[dict[str, Any]], list[LostRows]]:
    found = list(rows(path))
    return [f[1] for f in found if isinstance(f, tuple)], [f for f in found if isinstance(f, LostRows)]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"garbage " * 100, b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_one_loss(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    good, lost = read(path)
    assert (good, len(lost)) == ([], 1)
    assert cuts(path, 10) == []


def test_a_cut_file_is_one_loss(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(i) for i in range(1_000)]}), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert [len(x) for x in read(path)] == [0, 1]


def test_a_damaged_row_group_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{random.Random(i).random()} " * 20 for i in range(3_000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=1_000, write_page_checksum=True, compression="zstd")
    second = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    at = second.dictionary_page_offset + second.total_compressed_size // 2
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    found = list(rows(path))
    assert [f[0] for f in found if isinstance(f, tuple) and not 1_000 <= f[0] < 2_000] == [
        *range(1_000),
        *range(2_000, 3_000),
    ]
    (lost,) = [f for f in found if isinstance(f, LostRows)]
    assert lost.first + lost.rows == 2_000


def test_a_dictionary_that_makes_gigabytes_is_read_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1 << 24)
    path = tmp_path / "a.parquet"
    big = "x" * 4_000_000
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), pa.array([big]))
    pq.write_table(pa.table({"text": words, "n": list(range(300))}), path, compression="zstd")
    assert path.stat().st_size < 20_000
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    count = most = 0
    for found in rows(path):
        assert isinstance(found, tuple)
        assert len(found[1]["text"]) == len(big)
        count += 1
        most = max(most, pa.total_allocated_bytes() - before)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300
    assert most < 200 << 20
    assert python < 200 << 20


def test_a_column_that_unpacks_without_measure_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_COLUMN_BYTES", 1 << 20)
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["x" * 8_000_000, "y"]})
    with pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False) as writer:
        writer.write_table(table.slice(0, 1))
        writer.write_table(table.slice(1, 1))
    good, lost = read(path)
    assert [r["text"] for r in good] == ["y"]
    assert "unpack to" in lost[0].problem


def test_a_column_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    bad = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), BAD_TEXT)
    pq.write_table(pa.table({"text": ["a", "b", "c"], "bad": bad}), path)
    good, lost = read(path)
    assert [r["text"] for r in good] == ["a", "b", "c"]
    assert all("bad" in one.problem for one in lost)
