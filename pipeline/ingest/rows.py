"""Rows of JSONL and Parquet files. What cannot be read comes out as a broken row, never as an end of file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.core.dataset import Source
from pipeline.ingest import parquet
from pipeline.ingest.lines import Damage, lines

Row = dict[str, Any]
MAX_DIGITS = 4_000  # of a number; Python converts 4,300


@dataclass(frozen=True)
class Broken:
    """A row, or a place in the file, that cannot be read.

    Attributes:
        damage: whether it is the file that is damaged there, and not just this row.
        lost: bytes of the file that were not read, where that is known.
    """

    problem: str
    damage: bool = False
    lost: int = 0


def rows_of(source: Source, *, max_bytes: int) -> Iterator[tuple[int, Row | Broken]]:
    """(position, row) of a JSONL or Parquet source. Raises: OSError if the file cannot be read at all."""
    return parquet_rows(source) if source.kind == "parquet" else jsonl_rows(source, max_bytes=max_bytes)


def jsonl_rows(source: Source, *, max_bytes: int) -> Iterator[tuple[int, Row | Broken]]:
    """(position, row) per line.

    Positions are byte offsets of plain files and line numbers of compressed ones, as are `source.start` and `.end`.
    """
    for line in lines(source.path, source.start, source.end, max_bytes=max_bytes):
        if isinstance(line, Damage):
            problem = f"{line.problem}; {line.lost:,} bytes skipped from byte {line.offset:,} of the file"
            yield line.position, Broken(problem, True, line.lost)
            continue
        row = Broken(f"line of {line.length:,} bytes") if line.length > max_bytes else _parse(line.text)
        if not line.cut or not isinstance(row, Broken):  # what is left of a cut line is part of the damage that follows
            yield line.position, row


def _parse(line: bytes) -> Row | Broken:
    try:
        row = json.loads(line)
    except UnicodeDecodeError as error:
        return Broken(f"not UTF-8 (byte {error.start})")
    except (ValueError, RecursionError) as error:
        if "digits" in str(error):  # a number that Python does not convert for its length: kept as it is written
            row = json.loads(line, parse_int=lambda n: int(n) if len(n) < MAX_DIGITS else n)
            return row if isinstance(row, dict) else Broken(f"not a JSON object but {type(row).__name__}")
        return Broken(f"not JSON: {error}")
    return row if isinstance(row, dict) else Broken(f"not a JSON object but {type(row).__name__}")


def parquet_rows(source: Source) -> Iterator[tuple[int, Row | Broken]]:
    """(row number, row) of row groups [start, end)."""
    for found in parquet.rows(source.path, source.start, source.end):
        if isinstance(found, parquet.LostRows):
            lost = f"{found.rows:,} rows lost: " if found.rows else ""
            yield found.first, Broken(lost + found.problem, True)
        else:
            yield found
