"""Sorted Parquet as working storage: parts of a file by range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


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
