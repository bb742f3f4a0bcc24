"""Gathers what the report shows. Text of documents goes into the page through Jinja's autoescape only."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa

from pipeline.cli.text import mib
from pipeline.core.dataset import Dataset
from pipeline.core.files import read_json, write_bytes
from pipeline.core.rules import Rule
from pipeline.look.explain import rules_of
from pipeline.look.representation import representation
from pipeline.look.rules import rule_table
from pipeline.look.run import Run, open_run, table_of
from pipeline.look.stats import histogram, stats
from pipeline.report import svg

SAMPLES_PER_REASON = 2
KEPT_SAMPLES = 6
SAMPLE_CHARS = 400
MAX_CHARTS = 24
NOTABLE_Z = 2.0  # standard errors from the rate of all documents
MAX_GROUPS = 30


def write_report(root: Path, out: Path) -> Path:
    """Write the report of a run. Raises: UsageError if `root` is no run."""
    run = open_run(root)
    facts = stats(run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(mib=mib, n=lambda v: f"{v:,}", pct=lambda v: f"{100 * v:.2f}%")
    page = environment.get_template("report.html.j2").render(
        s=facts,
        funnel=_funnel(facts),
        charts=_charts(run),
        unique=_unique(run),
        groups=_groups(run),
        kept=_kept(run),
        dropped=_dropped(run),
        tokenizer=_tokenizer(run),
        compared=_compared(run),
        loss=_loss(run),
        steps=[(k, d) for k, d in run.steps.items()],
    )
    write_bytes(out, page.encode())
    return out


def _funnel(s: dict[str, Any]) -> list[dict[str, Any]]:
    """From captures to kept documents: what is left after each gate."""
    rows: list[dict[str, Any]] = []
    left = None
    for stage in ("extract", "curate"):
        part = s[stage]
        if not part:
            continue
        if left is None:
            left = part["rows_in"]
            rows.append({"name": "captures" if s["crawl"] else "input rows", "left": left, "gone": 0, "bytes": 0})
        for gate in part["gates"]:
            left -= gate["documents"]
            rows.append({"name": gate["gate"], "left": left, "gone": gate["documents"], "bytes": gate["bytes"]})
    top = max((r["left"] for r in rows), default=0) or 1
    return [{**r, "share": r["left"] / top, "gone_share": r["gone"] / top} for r in rows]


def _unique(run: Run) -> dict[str, int]:
    """ "gate.reason" -> documents that only this rule of the run keeps out."""
    if run.get("curate") is None:
        return {}
    return {f"{r['gate']}.{r['reason']}": r["unique"] for r in rule_table(run)["rules"]}


def _groups(run: Run) -> dict[str, Any] | None:
    """Groups of documents that curation removes more (or less) often than others."""
    if run.get("curate") is None or run.get("extract") is None:
        return None
    found = representation(run)
    shown = [g for g in found["groups"] if g["kind"] != "host" and abs(g["z"]) >= NOTABLE_Z]
    return {**found, "groups": shown[:MAX_GROUPS]}


def _charts(run: Run) -> list[dict[str, Any]]:
    """A histogram for every signal that a rule of the run bounds."""
    curate = run.get("curate")
    if curate is None:
        return []
    bounds: dict[str, list[tuple[str, float]]] = {}
    for _, rules in rules_of(curate):
        for rule in rules:
            bounds.setdefault(rule.signal, []).extend(_labels(rule))
    charts = []
    for signal, lines in list(bounds.items())[:MAX_CHARTS]:
        found = histogram(run, signal)
        if "edges" in found:
            chart = svg.histogram(found["edges"], found["kept"], found["dropped"], lines)
            charts.append({"signal": signal, "svg": chart, "median": svg.number(found["quantiles"].get("0.5", 0.0))})
    return charts


def _labels(rule: Rule) -> list[tuple[str, float]]:
    return [
        (f"{name} {svg.number(value)}", value)
        for name, value in (("min", rule.min), ("max", rule.max))
        if value is not None
    ]


def _pick(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """A fixed pseudo-random choice, so that a report of the same run shows the same samples."""
    return sorted(rows, key=lambda r: hashlib.blake2b(r["doc_id"], digest_size=8).digest())[:count]


def _kept(run: Run) -> list[dict[str, Any]]:
    table = table_of(run.get("curate") or run.get("extract"), "data", ["doc_id", "url", "title"])
    if not table.num_rows:
        return []
    chosen = _pick(table.to_pylist(), KEPT_SAMPLES)
    step = run.get("curate") or run.need("extract")
    texts = _texts(step, [c["doc_id"] for c in chosen])
    return [{**c, "text": texts[c["doc_id"]][:SAMPLE_CHARS]} for c in chosen]


def _texts(step: Dataset, ids: list[bytes]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    wanted = set(ids)
    for batch in step.batches("data", ["doc_id", "text"]):
        for doc_id, text in zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True):
            if doc_id in wanted:
                found[doc_id] = text
    return found


def _dropped(run: Run) -> list[dict[str, Any]]:
    """Samples for every reason, with the values that decided."""
    samples = []
    for stage in ("extract", "curate"):
        step = run.get(stage)
        if step is None:
            continue
        table = table_of(step, "decisions")
        kept_urls = _kept_urls(run, table)
        by_reason: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in table.to_pylist():
            by_reason.setdefault((row["gate"], row["reasons"][0]), []).append(row)
        for (gate, reason), rows in by_reason.items():
            for row in _pick(rows, SAMPLES_PER_REASON):
                samples.append({**row, "gate": gate, "first": reason, "kept_url": kept_urls.get(row["kept_doc_id"])})
    return samples


def _kept_urls(run: Run, decisions: pa.Table) -> dict[bytes, str]:
    wanted = {d for d in decisions["kept_doc_id"].to_pylist() if d}
    if not wanted:
        return {}
    table = table_of(run.get("curate"), "signals", ["doc_id", "url"])
    return {d: u for d, u in zip(table["doc_id"].to_pylist(), table["url"].to_pylist(), strict=True) if d in wanted}


def _tokenizer(run: Run) -> dict[str, Any] | None:
    step = run.get("tokenizer")
    if step is None:
        return None
    vocabulary = json.loads((step.dir / "tokenizer" / "00000.json").read_text("utf-8"))["model"]["vocab"]
    longest = sorted(vocabulary, key=lambda t: (-len(t), t))[:24]
    return {"size": len(vocabulary), "longest": [t.replace("Ġ", "␣").replace("Ċ", "↵") for t in longest]}


COMPARED = (
    ("model", "model", "%s"),
    ("entries", "vocabulary", "%d"),
    ("bytes per token", "bytes_per_token", "%.3f"),
    ("tokens per word", "tokens_per_word", "%.3f"),
    ("unknown tokens", "unknown_share", "%.4f"),
    ("entries never used", "unused", "%d"),
    ("entries never reached", "unreached", "%d"),
    ("Rényi efficiency", "renyi_efficiency", "%.3f"),
    ("overlap with the first", "overlap", "%.3f"),
)


def _compared(run: Run) -> dict[str, Any] | None:
    """What `winnow tokenizer eval --out RUN` found."""
    path = run.root / "tokenizers.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = read_json(path)
    first = found["tokenizers"][0]["languages"][:8]
    languages = [
        {"name": row["name"], "values": [t["languages"][i]["bytes_per_token"] for t in found["tokenizers"]]}
        for i, row in enumerate(first)
    ]
    return {**found, "rows": COMPARED, "languages": languages}


def _loss(run: Run) -> Any:
    step = run.get("train")
    if step is None:
        return None
    lines = (step.dir / "model" / "log.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    marks = [(r["step"], r["validation_loss"]) for r in records if "validation_loss" in r]
    return svg.line([(r["step"], r["loss"]) for r in records], marks, "loss, nats per token; dots: validation")
