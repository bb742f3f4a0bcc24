"""Rows of Parquet files as Python values, whatever their columns hold.

Times are cut to microseconds, and are in UTC where this machine does not know their zone; those beyond the years 1 to 9999 come out
as text, strings that are not UTF-8 as bytes. A column that nobody uses must not cost a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_ROWS = 256
BATCH_BYTES = 1 << 29  # that a batch may take in memory: a dictionary can make gigabytes of few bytes on disk
MAX_COLUMN_BYTES = 1 << 31  # of one column of a row group, and
MAX_RATIO = 1_000  # times its bytes on disk: a longer one is not read
FAILURES = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, MemoryError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # in a second


@dataclass(frozen=True)
class LostRows:
    """Rows that could not be read; `first` is the number of the first one, `rows` how many the file says they are."""

    first: int
    rows: int
    problem: str


def rows(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[int, dict[str, Any]] | LostRows]:
    """(row number, row) of row groups [start, end), and what of them cannot be read.

    Raises: PermissionError, FileNotFoundError.
    """
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (PermissionError, FileNotFoundError):
        raise
    except FAILURES as error:
        if not start:
            yield LostRows(0, 0, f"no Parquet file that can be read: {_said(error)}")
        return
    with file:
        number = sum(file.metadata.row_group(i).num_rows for i in range(start))
        last = file.metadata.num_row_groups if end is None else min(end, file.metadata.num_row_groups)
        for group in range(start, last):
            yield from _group(file, group, number)
            number += file.metadata.row_group(group).num_rows


def _group(file: pq.ParquetFile, group: int, first: int) -> Iterator[tuple[int, dict[str, Any]] | LostRows]:
    """The rows of a row group, numbered from `first`; if a column cannot be read, those of the columns that can."""
    after = first + file.metadata.row_group(group).num_rows
    number = first  # of the next row that is not given out yet
    columns: list[str] | None = None
    while True:
        try:
            for at, item in enumerate(_rows_of(file, group, columns), first):
                if at >= number:
                    yield at, item
                    number = at + 1
            if number < after:
                raise ValueError(f"{after - number:,} rows fewer than it says")
            return
        except FAILURES as error:
            names = set(file.schema_arrow.names)
            rest = _readable(file, group) if columns is None else []
            if not rest or len(rest) == len(names):
                yield LostRows(number, after - number, f"row group {group}: {_said(error)}")
                return
            lost = ", ".join(sorted(names - set(rest)))
            yield LostRows(number, 0, f"row group {group}, columns {lost}: {_said(error)}")
            columns = rest


def _rows_of(file: pq.ParquetFile, group: int, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    for batch in _batches(file, group, columns):
        yield from to_rows(batch)


def _readable(file: pq.ParquetFile, group: int) -> list[str]:
    """The columns of a row group that can be read."""
    found = []
    for name in dict.fromkeys(file.schema_arrow.names):
        try:
            for _ in _batches(file, group, [name]):
                pass
        except FAILURES:
            continue
        found.append(name)
    return found


def _said(error: BaseException) -> str:
    return f"{error}".strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _batches(file: pq.ParquetFile, group: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A row group, or some columns of it, in batches of a bounded size.

    Raises: ValueError for a column that unpacks to more than is read.
    """
    meta = file.metadata.row_group(group)
    widest = 0
    for i in range(meta.num_columns):
        column = meta.column(i)
        if columns is not None and column.path_in_schema.split(".")[0] not in columns:
            continue
        size = column.total_uncompressed_size
        if size > MAX_COLUMN_BYTES and size > MAX_RATIO * max(column.total_compressed_size, 1):
            packed = column.total_compressed_size
            raise ValueError(f"{packed:,} bytes of column '{column.path_in_schema}' unpack to {size:,}: not read")
        if column.physical_type == "BYTE_ARRAY" and any("DICTIONARY" in e for e in column.encodings):
            widest = max(widest, size)
    # each value of a column with a dictionary may be as long as the whole dictionary
    small = max(1, min(BATCH_ROWS, BATCH_BYTES // max(widest, 1)))
    for batch in file.iter_batches(batch_size=BATCH_ROWS if small > 16 else small, row_groups=[group], columns=columns):
        if batch.nbytes <= BATCH_BYTES:
            yield batch
        else:
            step = max(1, batch.num_rows * BATCH_BYTES // batch.nbytes)
            yield from (batch.slice(at, step) for at in range(0, batch.num_rows, step))


def to_rows(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """The rows of a batch as dictionaries. Of two columns with one name the last counts."""
    try:
        found: list[dict[str, Any]] = batch.to_pylist()
    except FAILURES:
        columns = [values(batch.column(i)) for i in range(batch.num_columns)]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
    return found


def values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """A column as Python values; what has none as text, strings that are not UTF-8 as bytes."""
    try:
        found: list[Any] = column.to_pylist()
        return found
    except FAILURES:
        pass
    if isinstance(column, pa.ChunkedArray):
        return [v for chunk in column.chunks for v in values(chunk)]
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _times(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        raw = column.view(pa.binary() if pa.types.is_string(kind) else pa.large_binary())
        return [None if b is None else _text(b) for b in raw.to_pylist()]
    if pa.types.is_struct(kind):
        parts = {kind.field(i).name: values(column.field(i)) for i in range(kind.num_fields)}
        there = column.is_valid().to_pylist()
        return [{n: p[i] for n, p in parts.items()} if ok else None for i, ok in enumerate(there)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = values(column.values)
        ends = column.offsets.to_pylist()
        there = column.is_valid().to_pylist()
        return [flat[a:b] if ok else None for a, b, ok in zip(ends, ends[1:], there, strict=False)]
    if pa.types.is_dictionary(kind):
        words = values(column.dictionary)
        return [None if i is None else words[i] for i in column.indices.to_pylist()]
    return [_one(column, i) for i in range(len(column))]


def _one(column: pa.Array, at: int) -> Any:
    """A single value, as text if Python has none for it."""
    try:
        return column[at].as_py()
    except FAILURES:
        try:
            return str(pc.cast(column.slice(at, 1), pa.string())[0].as_py())
        except FAILURES:
            return None


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _times(column: pa.Array) -> list[Any]:
    """Timestamps: as times where Python has them, else as a count of their unit."""
    unit, zoned = column.type.unit, column.type.tz is not None
    per_second = _UNITS[unit]
    found: list[Any] = []
    for count in column.cast(pa.int64()).to_pylist():
        if count is None:
            found.append(None)
            continue
        seconds, rest = divmod(count, per_second)
        try:
            time = _EPOCH + timedelta(seconds=seconds, microseconds=rest * 1_000_000 // per_second)
            found.append(time if zoned else time.replace(tzinfo=None))
        except OverflowError:
            found.append(f"{count} {unit} since 1970")
    return found


def cuts(path: Path, step: int) -> list[int]:
    """Row groups at which a file is cut into parts of about `step` bytes; none for a file that cannot be read."""
    try:
        meta = pq.read_metadata(path)
    except (PermissionError, FileNotFoundError):
        raise
    except FAILURES:
        return []  # one part, which says so
    found: list[int] = []
    size = 0
    for i in range(meta.num_row_groups):
        size += meta.row_group(i).total_byte_size
        if size > step and i:
            found.append(i)
            size = meta.row_group(i).total_byte_size
    return found
