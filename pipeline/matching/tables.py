"""Working storage of matches: sorting with a bound on memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from pipeline.core.files import TMP_PREFIX
from pipeline.core.sql import database


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
