"""A run as the looking commands see it: its sealed steps, the rules it decided by, and tables over all shards of a step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.rules import Rule
from pipeline.run.run import RUN, sealed
from pipeline.run.stages import results
from pipeline.text.visible import is_utf8


@dataclass(frozen=True)
class Run:
    """The sealed steps of a run directory, by the name of the result."""

    root: Path
    steps: dict[str, Dataset]

    def get(self, stage: str) -> Dataset | None:
        return self.steps.get(stage)

    def need(self, stage: str) -> Dataset:
        if stage not in self.steps:
            raise UsageError(f"{self.root}: this run has no sealed '{stage}' step yet.")
        return self.steps[stage]


def open_run(path: Path) -> Run:
    """Open a run directory, or a single step as a run of its own.

    Raises: UsageError if it is neither, or lies at a path that is not UTF-8, which Arrow and DuckDB do not open.
    """
    if not is_utf8(str(path.absolute())):
        raise UsageError(f"{path}: this path is not UTF-8: look at the run from a folder that can be written in UTF-8.")
    if (path / RUN).is_file():
        return Run(path, sealed(path, results()))
    if is_dataset(path):
        step = open_dataset(path)
        return Run(path, {step.step: step})
    raise UsageError(f"{path}: neither a run directory (run.json) nor a finished step (manifest.json).")


def rows_where(
    step: Dataset, folder: str, column: str, value: str | bytes | pa.Scalar, columns: list[str] | None = None
) -> list[dict[str, Any]]:
    """Rows of a step's sub-folder where a column has a value, with the shard they lie in as `shard`."""
    found: list[dict[str, Any]] = []
    for source in step.every(folder):
        table = pads.dataset(source.path).to_table(filter=pads.field(column) == value, columns=columns)
        found += [{**row, "shard": source.shard} for row in table.to_pylist()]
    return found


def table_of(step: Dataset | None, folder: str, columns: list[str] | None = None) -> pa.Table:
    """All rows of a sub-folder; an empty table where the step is missing."""
    if step is None or not step.files(folder):
        return pa.table({c: pa.array([], pa.string()) for c in columns or []})
    return pads.dataset(step.files(folder)).to_table(columns=columns)


def rules_of(curate: Dataset) -> list[tuple[str, list[Rule]]]:
    """The rule gates of a sealed curate step, in order, as they decided."""
    gates = []
    for gate in curate.params["gates"]:
        if "rules" in gate:
            rules = [Rule(r, s, lo, hi, tuple(one) if one else None, "", by) for r, s, lo, hi, one, by in gate["rules"]]
            gates.append((gate["name"], rules))
    return gates
