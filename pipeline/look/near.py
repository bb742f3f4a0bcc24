"""Documents whose value of a signal lies nearest to a threshold: what a bound there would cut apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import UsageError, did_you_mean
from pipeline.core.sql import database, name_of
from pipeline.look.run import Run, rows_where, rules_of

SAMPLE_CHARS = 300


@dataclass(frozen=True)
class NearDocument:
    """A document with its value of the signal, the gate that dropped it (None: kept), and the beginning of its text."""

    url: str | None
    host: str | None
    value: float
    dropped_by: str | None
    text: str


@dataclass(frozen=True)
class Nearest:
    """Documents on both sides of a value, the nearest first; `above` has those that are equal to it."""

    signal: str
    value: float
    below: tuple[NearDocument, ...]
    above: tuple[NearDocument, ...]


def nearest(run: Run, signal: str, value: float | None = None, count: int = 5) -> Nearest:
    """The documents just below and just above a value.

    Args:
        value: the threshold; by default the first bound that a rule of the run sets on the signal.
        count: documents on each side.

    Raises: UsageError for a signal that the run did not measure or that is a text, or without a value and a rule.
    """
    curate = run.need("curate")
    if value is None:
        bounds = [b for _, rules in rules_of(curate) for r in rules if r.signal == signal for b in (r.min, r.max)]
        value = next((b for b in bounds if b is not None), None)
        if value is None:
            raise UsageError(f"no rule of this run bounds '{signal}': give a value with --near.")
    if not math.isfinite(value):
        raise UsageError(f"--near {value}: give a finite number.")
    files = {"s": [str(p) for p in curate.files("signals")], "d": [str(p) for p in curate.files("decisions")]}
    with database() as connection:
        found = connection.sql("SELECT * FROM read_parquet($s, union_by_name=true) LIMIT 0", params={"s": files["s"]})
        if signal not in found.columns or str(found.types[found.columns.index(signal)]) != "DOUBLE":
            known = [c for c, t in zip(found.columns, found.types, strict=True) if str(t) == "DOUBLE"]
            raise UsageError(
                f"no number '{signal}' in this run.{did_you_mean(signal, known)} It has: {', '.join(known)}."
            )
        column = name_of(signal)
        sides: dict[str, list[dict[str, Any]]] = {}
        for side, sign, order in (("below", "<", "DESC"), ("above", ">=", "ASC")):
            sides[side] = connection.sql(
                f"SELECT s.doc_id, s.url, s.host, s.{column} AS value, d.gate AS dropped_by "
                f"FROM read_parquet($s, union_by_name=true) s LEFT JOIN read_parquet($d) d USING (doc_id) "
                f"WHERE s.{column} {sign} {value!r}::DOUBLE ORDER BY s.{column} {order}, s.url LIMIT {max(count, 0)}",
                params=files,
            ).to_arrow_table().to_pylist()  # fmt: skip
    below, above = (
        tuple(NearDocument(r["url"], r["host"], r["value"], r["dropped_by"], _text(run, r["doc_id"])) for r in rows)
        for rows in sides.values()
    )
    return Nearest(signal, value, below, above)


def _text(run: Run, doc_id: bytes) -> str:
    """The beginning of a document's text: as curated, else as it was when it was dropped."""
    for stage, folder, column in (
        ("curate", "data", "text"),
        ("curate", "decisions", "sample"),
        ("extract", "data", "text"),
    ):
        step = run.get(stage)
        if step is not None:
            for row in rows_where(step, folder, "doc_id", doc_id, ["doc_id", column]):
                return str(row[column])[:SAMPLE_CHARS]
    return ""
