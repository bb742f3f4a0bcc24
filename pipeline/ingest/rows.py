"""Rows of JSONL and Parquet files. A line that cannot be read comes out as a broken row, never as an end of file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from pipeline.core.dataset import Source
from pipeline.core.errors import DataError
from pipeline.ingest.plan import open_stream


def jsonl_rows(source: Source, *, max_bytes: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(position, row) per line; the row is a text that says what is wrong where the line cannot be used.

    Positions are byte offsets of plain files and line numbers of compressed ones, as are `source.start` and `.end`.
    """
    packed = source.path.suffix in (".gz", ".zst")
    position = -1
    try:
        with open_stream(source.path) as f:
            if not packed:
                f.seek(source.start)
            at = 0 if packed else source.start
            while True:
                line = f.readline(max_bytes + 1)
                if not line:
                    return
                position = at
                oversize = len(line) > max_bytes and not line.endswith(b"\n")
                length = len(line)
                if oversize:
                    while (rest := f.readline(1 << 20)) and not rest.endswith(b"\n"):
                        length += len(rest)
                    length += len(rest)
                at += 1 if packed else length
                if source.end is not None and position >= source.end:
                    return
                if position < source.start or not line.strip():
                    continue
                yield position, f"line of {length:,} bytes" if oversize else _parse(line)
    except (OSError, EOFError, zstandard.ZstdError) as error:
        yield position + 1, f"unreadable from here on: {error}"


def _parse(line: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start})"
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return row if isinstance(row, dict) else f"not a JSON object but {type(row).__name__}"


def parquet_rows(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number, row) of row groups [start, end). Raises: DataError if the file is not Parquet."""
    try:
        with pq.ParquetFile(source.path) as f:
            end = f.metadata.num_row_groups if source.end is None else source.end
            row = sum(f.metadata.row_group(i).num_rows for i in range(source.start))
            if source.start >= end:
                return
            for batch in f.iter_batches(batch_size=256, row_groups=list(range(source.start, end))):
                for item in batch.to_pylist():
                    yield row, item
                    row += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{source.path}: {error}") from error
