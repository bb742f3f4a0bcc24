"""Sorted Parquet as working storage: parts of a file by range, sorting with a bound on memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.files import TMP_PREFIX
from pipeline.core.sql import database


def rows_between(path: Path, column: str, low: int, high: int, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Rows of a file sorted by `column` whose value lies in [low, high]; row groups outside are not read."""
    with pq.ParquetFile(path) as f:
        at = f.schema_arrow.get_field_index(column)
        for group in range(f.metadata.num_row_groups):
            known = f.metadata.row_group(group).column(at).statistics
            if known is not None and known.has_min_max and (known.max < low or known.min > high):
                continue
            table = f.read_row_group(group, columns=list({column: None, **dict.fromkeys(columns)}))
            kind = table.schema.field(column).type
            inside = pc.and_(
                pc.greater_equal(table[column], pa.scalar(low, kind)),
                pc.less_equal(table[column], pa.scalar(high, kind)),
            )
            yield table.filter(inside).select(list(columns))


@contextmanager
def sorter(folder: Path, memory: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sorts within `memory` bytes and spills the rest into `folder`. One thread: the same work for any
    number of cores."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"threads": 1, "temp_directory": str(folder / f"{TMP_PREFIX}{os.getpid()}-sort")}
    if memory is not None:
        config["memory_limit"] = f"{max(memory >> 20, 64)}MiB"
    with database(**config) as connection:
        yield connection


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values ascending, each once. `np.unique` hashes them first, which takes several times as long."""
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def order_by(item: str) -> str:
    """A `keep` item as SQL, unknown values last."""
    return f'"{column_of(item)}" {"DESC" if item.startswith("-") else "ASC"} NULLS LAST'


def column_of(item: str) -> str:
    """The column of a `keep` item in a pass's `state`."""
    return f"keep.{item.removeprefix('-')}"
