"""The funnel and the distributions of a run, for `winnow stats` and the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.answers import Counts
from pipeline.core.dataset import Dataset
from pipeline.core.errors import UsageError, did_you_mean
from pipeline.core.files import read_json
from pipeline.core.sql import database
from pipeline.look.run import Run, table_of
from train.result import Trained, read_result

LISTED_GAPS = 10
DAMAGE = "broken_record"  # the reason of what stands for a damaged place
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")


@dataclass(frozen=True)
class ReasonDrops:
    """Documents that failed for a reason, and the bytes of their texts.

    Attributes:
        reason: None stands for the whole gate. alone: documents that failed for this reason only.
    """

    gate: str
    reason: str | None
    documents: int
    bytes: int
    alone: int


@dataclass(frozen=True)
class GateDrops:
    """What a gate dropped. A document counts under every reason it failed for."""

    gate: str
    documents: int
    bytes: int
    reasons: tuple[ReasonDrops, ...]


@dataclass(frozen=True)
class Gap:
    """A place of an input file that could not be read: the file, where it begins (byte or row), and what is wrong."""

    source: str | None
    source_offset: int | None
    note: str | None


@dataclass(frozen=True)
class Gaps:
    """What of the inputs could not be read.

    Attributes:
        places: how many there are. bytes: of the input files. of_bytes: of all input files together, None if nothing says.
        examples: the first ones by file and offset.
    """

    places: int
    bytes: int
    of_bytes: int | None
    examples: tuple[Gap, ...]


@dataclass(frozen=True)
class Funnel:
    """In, out, and what lay between; `bytes_out` of text; `edits` by kind; `records` of archives by type; `gaps` if any."""

    rows_in: int
    rows_out: int
    bytes_out: int
    gates: tuple[GateDrops, ...]
    edits: Counts
    records: Counts
    gaps: Gaps | None


@dataclass(frozen=True)
class GroupBytes:
    """Documents and text bytes of a host or a language; "" for those without."""

    name: str
    documents: int
    bytes: int


@dataclass(frozen=True)
class Stats:
    """Counts of every stage of a run; None where it has no such step.

    Attributes:
        steps: STEP-KEY by stage. crawl: URLs by outcome.
        hosts, languages: of the curated data, largest first. tokenizer, tokens: counts of those steps.
        errors: recorded ones by stage, for stages that have some.
    """

    run: str
    steps: dict[str, str]
    crawl: Counts | None
    extract: Funnel | None
    curate: Funnel | None
    hosts: tuple[GroupBytes, ...]
    languages: tuple[GroupBytes, ...]
    tokenizer: Counts | None
    tokens: Counts | None
    model: Trained | None
    errors: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class NumberHistogram:
    """A signal that is a number, over kept and dropped documents.

    Attributes:
        edges: one more than there are bins, from the 0.5th to the 99.5th percentile; outliers count in the outer bins.
        quantiles: of all documents, by their share ("0.5": the median); none if nothing was measured.
    """

    signal: str
    edges: tuple[float, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    quantiles: dict[str, float]


@dataclass(frozen=True)
class NameCount:
    """Documents with a value of a signal, and how many of them were kept."""

    name: str
    kept: int
    all: int


@dataclass(frozen=True)
class NameHistogram:
    """A signal that is a name, the most frequent value first."""

    signal: str
    values: tuple[NameCount, ...]


def stats(run: Run) -> Stats:
    """Counts of every stage: crawl outcomes, drops by gate and reason with bytes, hosts, languages, tokens, model."""
    crawl, curate = run.get("crawl"), run.get("curate")
    tokenizer, tokens, model = run.get("tokenizer"), run.get("tokenize"), run.get("train")
    kept = table_of(curate, "data", ["host", "language", "text"]) if curate else None
    return Stats(
        run=run.root.name,
        steps={k: f"{d.step}-{d.key}" for k, d in run.steps.items()},
        crawl=crawl.counts["outcomes"] if crawl else None,
        extract=_funnel(run.get("extract")),
        curate=_funnel(curate),
        hosts=group_bytes(kept, "host") if kept is not None else (),
        languages=group_bytes(kept, "language") if kept is not None else (),
        tokenizer=tokenizer.counts if tokenizer else None,
        tokens=tokens.counts if tokens else None,
        model=read_result(model) if model else None,
        errors={k: tuple(d.manifest["errors"]) for k, d in run.steps.items() if d.manifest.get("errors")},
    )


def _funnel(step: Dataset | None) -> Funnel | None:
    if step is None:
        return None
    reasons = reason_table(step)
    gates = []
    listed = step.manifest.get("gates") or ["ingest", "extract"]
    for gate in dict.fromkeys([*listed, *(r.gate for r in reasons)]):
        rows = [r for r in reasons if r.gate == gate]
        whole = next((r for r in rows if r.reason is None), None)
        documents, size = (whole.documents, whole.bytes) if whole else (0, 0)
        gates.append(GateDrops(gate, documents, size, tuple(r for r in rows if r.reason is not None)))
    counts = step.counts
    return Funnel(
        counts["rows_in"], counts["rows_out"], counts.get("text_bytes", 0), tuple(gates), counts.get("edits", {}),
        counts.get("records", {}), _gaps(step),
    )  # fmt: skip


def _gaps(step: Dataset) -> Gaps | None:
    """Damaged places of the inputs; None if there are none."""
    counts = step.counts
    places, lost = counts.get("gaps", 0), counts.get("gap_bytes", 0)
    if not places and not lost:
        return None
    with database() as connection:
        rows = connection.execute(
            "SELECT source, source_offset, note FROM read_parquet($f) WHERE list_contains(reasons, $r) "
            f"ORDER BY source, source_offset LIMIT {LISTED_GAPS}",
            {"f": [str(p) for p in step.files("decisions")], "r": DAMAGE},
        ).fetchall()
    return Gaps(places, lost, _input_bytes(step), tuple(Gap(*row) for row in rows))


def _input_bytes(step: Dataset) -> int | None:
    """Bytes of all files that a step planned to read; those of records and gaps where the plan is gone."""
    plan = step.dir / "plan.json"
    if plan.is_file():
        return sum(int(f["bytes"]) for f in read_json(plan)["files"].values())
    records = step.counts.get("record_bytes")
    return None if records is None else int(records) + int(step.counts.get("gap_bytes", 0))


def reason_table(step: Dataset) -> tuple[ReasonDrops, ...]:
    """What each gate dropped, and each of its reasons."""
    files = [str(p) for p in step.files("decisions")]
    with database() as connection:
        rows = connection.sql(
            """WITH d AS (SELECT gate, reasons, text_bytes FROM read_parquet($f))
            SELECT gate, NULL AS reason, count(*) AS documents, coalesce(sum(text_bytes), 0)::BIGINT AS bytes,
                   count(*) AS alone FROM d GROUP BY gate
            UNION ALL
            SELECT gate, reason, count(*), coalesce(sum(text_bytes), 0)::BIGINT,
                   count(*) FILTER (n = 1) FROM (SELECT gate, unnest(reasons) AS reason, text_bytes, len(reasons) AS n
            FROM d) GROUP BY gate, reason ORDER BY gate, documents DESC, reason""",
            params={"f": files},
        ).fetchall()
    return tuple(ReasonDrops(*row) for row in rows)


def group_bytes(table: pa.Table, column: str, top: int = 30) -> tuple[GroupBytes, ...]:
    """Documents and text bytes per value of a column, largest first."""
    with database() as connection:
        connection.register("t", table)
        rows = connection.sql(
            f"SELECT coalesce(\"{column}\", '') AS name, count(*) AS documents, "
            f"sum(strlen(text))::BIGINT AS bytes FROM t GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT {top}"
        ).fetchall()
    return tuple(GroupBytes(*row) for row in rows)


def histogram(run: Run, signal: str, bins: int = 30) -> NumberHistogram | NameHistogram:
    """A signal over all documents that curation saw, kept and dropped apart.

    Raises: UsageError for a signal that the run did not measure.
    """
    curate = run.need("curate")
    table = table_of(curate, "signals")
    if signal not in table.column_names or signal in ("doc_id", "url"):
        known = [c for c in table.column_names if c not in ("doc_id", "url", "host")]
        raise UsageError(f"no signal '{signal}' in this run.{did_you_mean(signal, known)} It has: {', '.join(known)}.")
    gone = set(table_of(curate, "decisions", ["doc_id"])["doc_id"].to_pylist())
    kept = np.array([d not in gone for d in table["doc_id"].to_pylist()], bool)
    column = table[signal].to_pylist()
    if any(isinstance(v, str) for v in column):
        return _of_names(signal, column, kept)
    return _of_numbers(signal, np.array([np.nan if v is None else v for v in column], float), kept, bins)


def _of_names(signal: str, column: list[str | None], kept: npt.NDArray[np.bool_]) -> NameHistogram:
    names = sorted({str(v) for v in column if v is not None})
    values = [
        NameCount(n, int(sum(k for v, k in zip(column, kept, strict=True) if v == n)), column.count(n)) for n in names
    ]
    return NameHistogram(signal, tuple(sorted(values, key=lambda v: (-v.all, v.name))))


def _of_numbers(
    signal: str, numbers: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_], bins: int
) -> NumberHistogram:
    finite = np.isfinite(numbers)
    real = numbers[finite]
    if not len(real):
        return NumberHistogram(signal, (0.0, 1.0), (0,), (0,), {})
    low, high = np.quantile(real, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    clipped = np.clip(numbers, edges[0], edges[-1])
    return NumberHistogram(
        signal,
        tuple(edges.tolist()),
        tuple(np.histogram(clipped[finite & kept], edges)[0].tolist()),
        tuple(np.histogram(clipped[finite & ~kept], edges)[0].tolist()),
        {q: float(np.quantile(real, float(q))) for q in QUANTILES},
    )
