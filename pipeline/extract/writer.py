"""What a shard of the extract step writes: documents and decisions, in batches, so that memory does not grow with the shard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.files import LEVEL, atomic, parquet_options

Row = dict[str, Any]
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class TableWriter:
    """A Parquet file of a fixed schema that takes rows one at a time. Use as a context manager; the file is there when it ends.

    Args:
        rows: of a row group.
        max_bytes: characters of text and metadata in a row group; a group that has more ends earlier.
        level: of zstd.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, *, rows: int, max_bytes: int = 1 << 26, level: int = LEVEL
    ) -> None:
        self.path, self.schema, self.count = path, schema, 0
        self.text_bytes = 0
        self._rows, self._max_bytes, self._level = rows, max_bytes, level
        self._waiting: list[Row] = []
        self._chars = 0
        self._stack = ExitStack()

    def __enter__(self) -> TableWriter:
        tmp = self._stack.enter_context(atomic(self.path))
        self._writer = self._stack.enter_context(
            pq.ParquetWriter(tmp, self.schema, **parquet_options(level=self._level))
        )
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is not None:
            self._stack.__exit__(*error)
            return
        with self._stack:
            self._flush()

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        self.count += 1
        self._chars += len(row.get("text") or "") + len(row.get("metadata") or "")
        if len(self._waiting) >= self._rows or self._chars > self._max_bytes:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting and self.count:
            return
        table = table_of_rows(self._waiting, self.schema)
        if "text" in table.column_names:
            self.text_bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
        self._writer.write_table(table, row_group_size=max(len(table), 1))
        self._waiting, self._chars = [], 0


def table_of_rows(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Rows as a table. What a column cannot hold (half a character, a number out of range) is put right or left out: no value that
    somebody wrote into a page may cost more than itself."""
    if not rows:
        return schema.empty_table()
    columns = zip(*map(itemgetter(*schema.names), rows), strict=True)
    return pa.table([_column(values, field) for values, field in zip(columns, schema, strict=True)], schema=schema)


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except (UnicodeError, pa.ArrowException, OverflowError, ValueError, TypeError):
        return pa.array([_storable(v, field) for v in values], field.type)


def _storable(value: Any, field: pa.Field) -> Any:
    value = _without_surrogates(value, escaped=field.name == "metadata")
    try:
        pa.array([value], field.type)
    except (UnicodeError, pa.ArrowException, OverflowError, ValueError, TypeError):
        return None if field.nullable else pa.scalar("" if pa.types.is_string(field.type) else 0, field.type).as_py()
    return value


def _without_surrogates(value: Any, *, escaped: bool) -> Any:
    """Halves of characters have no UTF-8: in JSON they are escaped, elsewhere U+FFFD stands for them."""
    if isinstance(value, str):
        return _SURROGATE.sub((lambda m: f"\\u{ord(m[0]):04x}") if escaped else "\ufffd", value)
    if isinstance(value, dict):
        return {k: _without_surrogates(v, escaped=escaped) for k, v in value.items()}
    return [_without_surrogates(v, escaped=escaped) for v in value] if isinstance(value, list) else value
