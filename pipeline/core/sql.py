"""DuckDB as winnow uses it: quiet, and with one thread where it runs inside a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb


def name_of(column: str) -> str:
    """The name of a column, whatever is in it, as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def text_of(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


@contextmanager
def database(**config: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database in memory; `config` as `duckdb.connect` takes it. It draws no progress bar: its bar goes
    to stdout, among the results."""
    connection = duckdb.connect(config=config)
    try:
        connection.execute("SET enable_progress_bar = false")
        yield connection
    finally:
        connection.close()
