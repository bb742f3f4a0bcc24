"""The funnel and the distributions of a run, for `winnow stats` and the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.core.dataset import Dataset
from pipeline.core.errors import UsageError, did_you_mean
from pipeline.core.files import read_json
from pipeline.core.sql import database
from pipeline.look.run import Run, table_of


def stats(run: Run) -> dict[str, Any]:
    """Counts of every stage: crawl outcomes, drops by gate and reason with bytes, hosts, languages, tokens, model."""
    crawl, extract, curate = run.get("crawl"), run.get("extract"), run.get("curate")
    tokens, model = run.get("tokenize"), run.get("train")
    kept = table_of(curate, "data", ["host", "language", "text"]) if curate else None
    return {
        "run": run.root.name,
        "steps": {k: f"{d.step}-{d.key}" for k, d in run.steps.items()},
        "crawl": crawl.counts["outcomes"] if crawl else None,
        "extract": _stage(extract),
        "curate": _stage(curate),
        "hosts": group_bytes(kept, "host") if kept is not None else [],
        "languages": group_bytes(kept, "language") if kept is not None else [],
        "tokenizer": run.steps["tokenizer"].counts if "tokenizer" in run.steps else None,
        "tokens": tokens.counts if tokens else None,
        "model": read_json(model.dir / "model" / "result.json") if model else None,
        "errors": {k: d.manifest["errors"] for k, d in run.steps.items() if d.manifest.get("errors")},
    }


def _stage(step: Dataset | None) -> dict[str, Any] | None:
    """In, out, and what each gate and each reason dropped. A document counts under every reason it failed for."""
    if step is None:
        return None
    order = step.manifest.get("gates") or ["ingest", "extract"]
    reasons = reason_table(step)
    gates = []
    for gate in order:
        rows = [r for r in reasons if r["gate"] == gate]
        whole = next((r for r in rows if r["reason"] is None), None)
        gates.append(
            {
                "gate": gate,
                "documents": whole["documents"] if whole else 0,
                "bytes": whole["bytes"] if whole else 0,
                "reasons": [r for r in rows if r["reason"] is not None],
            }
        )
    counts = step.counts
    return {
        "rows_in": counts["rows_in"],
        "rows_out": counts["rows_out"],
        "bytes_out": counts.get("text_bytes", 0),
        "gates": gates,
        "edits": counts.get("edits", {}),
    }


def reason_table(step: Dataset) -> list[dict[str, Any]]:
    """(gate, reason, documents, bytes, alone): reason None stands for the whole gate; `alone` counts documents that
    failed for this reason only."""
    files = [str(p) for p in step.files("decisions")]
    with database() as connection:
        rows: list[dict[str, Any]] = connection.sql(
            """WITH d AS (SELECT gate, reasons, text_bytes FROM read_parquet($f))
            SELECT gate, NULL AS reason, count(*) AS documents, coalesce(sum(text_bytes), 0)::BIGINT AS bytes,
                   count(*) AS alone FROM d GROUP BY gate
            UNION ALL
            SELECT gate, reason, count(*), coalesce(sum(text_bytes), 0)::BIGINT,
                   count(*) FILTER (n = 1) FROM (SELECT gate, unnest(reasons) AS reason, text_bytes, len(reasons) AS n
            FROM d) GROUP BY gate, reason ORDER BY gate, documents DESC, reason""",
            params={"f": files},
        ).to_arrow_table().to_pylist()  # fmt: skip
    return rows


def group_bytes(table: Any, column: str, top: int = 30) -> list[dict[str, Any]]:
    """Documents and text bytes per value of a column, largest first."""
    with database() as connection:
        connection.register("t", table)
        rows: list[dict[str, Any]] = connection.sql(
            f'SELECT coalesce("{column}", \'\') AS name, count(*) AS documents, '
            f"sum(strlen(text))::BIGINT AS bytes FROM t GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT {top}"
        ).to_arrow_table().to_pylist()  # fmt: skip
    return rows


def histogram(run: Run, signal: str, bins: int = 30) -> dict[str, Any]:
    """A signal over all documents that curation saw, kept and dropped apart.

    Returns: {"signal", "edges": bins + 1 numbers, "kept": counts, "dropped": counts, "quantiles"}; a text signal gives
    {"signal", "values": [...]} instead. Edges span the 0.5th to the 99.5th percentile, outliers in the outer bins.
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
        names = sorted({str(v) for v in column if v is not None})
        values = [
            {
                "name": n,
                "kept": int(sum(k for v, k in zip(column, kept, strict=True) if v == n)),
                "all": column.count(n),
            }
            for n in names
        ]
        return {"signal": signal, "values": sorted(values, key=lambda v: (-v["all"], v["name"]))}
    numbers = np.array([np.nan if v is None else v for v in column], float)
    real = numbers[np.isfinite(numbers)]
    if not len(real):
        return {"signal": signal, "edges": [0.0, 1.0], "kept": [0], "dropped": [0], "quantiles": {}}
    low, high = np.quantile(real, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    clipped = np.clip(numbers, edges[0], edges[-1])
    finite = np.isfinite(numbers)
    return {
        "signal": signal,
        "edges": edges.tolist(),
        "kept": np.histogram(clipped[finite & kept], edges)[0].tolist(),
        "dropped": np.histogram(clipped[finite & ~kept], edges)[0].tolist(),
        "quantiles": {q: float(np.quantile(real, float(q))) for q in ("0.05", "0.25", "0.5", "0.75", "0.95")},
    }
