"""The whole life of a URL: fetched or not and why, extracted or not, every signal against its bound, edits, copies,
and the rows of the token shards that hold it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from pipeline.core.dataset import Dataset
from pipeline.core.errors import UsageError
from pipeline.core.rules import Rule
from pipeline.core.schema import DOC_ID
from pipeline.look.run import Run, rows_where, table_of
from tokenize_stage.config import SPLITS
from tokenize_stage.reader import parts_of_row


def explain(run: Run, target: str) -> dict[str, Any]:
    """Everything the run knows about a URL or a doc_id (32 hex digits).

    Returns: {"target", "fetch": row or None, "documents": [life of each capture], "verdict": one sentence}.
    Raises: UsageError if the run never met it; names similar URLs.
    """
    fetch = _fetch(run, target)
    documents = [_life(run, doc_id) for doc_id in _captures(run, target)]
    if fetch is None and not documents:
        raise UsageError(f"{target}: this run never met it.{_similar(run, target)}")
    return {"target": target, "fetch": fetch, "documents": documents, "verdict": _verdict(fetch, documents)}


def _fetch(run: Run, target: str) -> dict[str, Any] | None:
    crawl = run.get("crawl")
    rows = rows_where(crawl, "fetch", "url", target) if crawl else []
    return rows[0] if rows else None


def _captures(run: Run, target: str) -> list[bytes]:
    value: Any = target
    column = "url"
    if len(target) == 32 and all(c in "0123456789abcdef" for c in target.lower()):
        column, value = "doc_id", pa.scalar(bytes.fromhex(target), DOC_ID)
    found: list[bytes] = []
    for stage in ("extract", "curate"):
        step = run.get(stage)
        for folder in ("data", "decisions"):
            if step:
                found += [r["doc_id"] for r in rows_where(step, folder, column, value, ["doc_id"])]
    return list(dict.fromkeys(found))


def _life(run: Run, doc_id: bytes) -> dict[str, Any]:
    key = pa.scalar(doc_id, DOC_ID)
    life: dict[str, Any] = {"doc_id": doc_id.hex()}
    extract, curate, tokens = run.get("extract"), run.get("curate"), run.get("tokenize")
    if extract:
        facts = rows_where(extract, "data", "doc_id", key)
        if facts:
            row = facts[0]
            life["document"] = {
                k: v for k, v in row.items() if k not in ("doc_id", "text", "language", "language_score")
            }
            life["text"] = row["text"]
        life["extract"] = [_clean(r) for r in rows_where(extract, "decisions", "doc_id", key)]
    if curate:
        decisions = [_clean(r) for r in rows_where(curate, "decisions", "doc_id", key)]
        for d in decisions:
            if d["kept_doc_id"]:
                copied = bytes.fromhex(d["kept_doc_id"])
                d["kept_url"] = _url_of(curate, copied) or _url_in_index(curate, copied)
        life["curate"] = decisions
        life["checks"] = _checks(curate, key, decisions)
        life["edits"] = [_clean(r) for r in rows_where(curate, "edits", "doc_id", key)]
        kept = rows_where(curate, "data", "doc_id", key)
        life["kept"] = bool(kept)
        if kept:
            life["text"] = kept[0]["text"]
            life["copies"] = [
                {"url": r["url"], "similarity": r["similarity"], "gate": r["gate"]}
                for r in rows_where(curate, "decisions", "kept_doc_id", key)
            ]
    if tokens and life.get("kept"):
        life["tokens"] = token_rows(tokens, doc_id)
    return life


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()}


def _url_of(curate: Dataset, doc_id: bytes) -> str | None:
    rows = rows_where(curate, "signals", "doc_id", pa.scalar(doc_id, DOC_ID), ["url"])
    return rows[0]["url"] if rows else None


def _url_in_index(curate: Dataset, doc_id: bytes) -> str | None:
    """The address of a document of the index that the run was matched with, as long as that is there."""
    root = Path(curate.manifest.get("index", ""))
    for path in sorted(root.glob("*-docs-*/docs/*.parquet")) if root.name else []:
        rows = pads.dataset(path).to_table(filter=pads.field("doc_id") == pa.scalar(doc_id, DOC_ID), columns=["url"])
        if len(rows):
            return str(rows["url"][0].as_py() or doc_id.hex())
    return None


def rules_of(curate: Dataset) -> list[tuple[str, list[Rule]]]:
    """The rule gates of a sealed curate step, in order, as they decided."""
    gates = []
    for gate in curate.params["gates"]:
        if "rules" in gate:
            rules = [Rule(r, s, lo, hi, tuple(one) if one else None, "", by) for r, s, lo, hi, one, by in gate["rules"]]
            gates.append((gate["name"], rules))
    return gates


def _checks(curate: Dataset, key: Any, decisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every rule with the measured value, also for gates behind the one that dropped the document."""
    rows = rows_where(curate, "signals", "doc_id", key)
    if not rows:
        return []
    signals = rows[0]
    language = signals.get("language")
    checks = []
    for gate, rules in rules_of(curate):
        for rule in rules:
            value = signals.get(rule.signal)
            low, high = rule.bounds(language)
            passed = None if value is None else rule.passes(value, language)
            checks.append(
                {
                    "gate": gate, "reason": rule.reason, "signal": rule.signal, "value": value,
                    "min": low, "max": high, "one_of": rule.one_of, "passed": passed,
                }
            )  # fmt: skip
    return checks


def token_rows(tokens: Dataset, doc_id: bytes) -> list[dict[str, Any]]:
    """Where a document lies in the token shards, from its first token on: split, shard, row, [start, end) in the row, and the
    token of the document at which that begins."""
    found = []
    for split in SPLITS:
        for path in tokens.files(split):
            columns = ["doc_ids", "doc_starts", "doc_tokens", "n_tokens"]
            table = pads.dataset(path).to_table(columns=columns)
            flat = table.column("doc_ids").combine_chunks()
            parents = pc.list_parent_indices(flat)
            hit = pc.equal(flat.flatten(), pa.scalar(doc_id, DOC_ID))
            for row in dict.fromkeys(parents.filter(hit).to_pylist()):
                for part in parts_of_row(table.slice(row, 1).to_pylist()[0]):
                    if part["doc_id"] == doc_id:
                        place = {k: part[k] for k in ("start", "end", "first_token")}
                        found.append({"split": split, "shard": int(path.stem), "row": row, **place})
    return sorted(found, key=lambda r: (r["first_token"], r["shard"], r["row"], r["start"]))


def _similar(run: Run, target: str) -> str:
    urls: set[str] = set()
    for stage, folder in (("crawl", "fetch"), ("extract", "data"), ("extract", "decisions")):
        urls.update(u for u in table_of(run.get(stage), folder, ["url"])["url"].to_pylist() if u)
    close = difflib.get_close_matches(target, urls, n=3, cutoff=0.7) if len(urls) < 50_000 else []
    return f" Close to it: {', '.join(close)}." if close else ""


def _verdict(fetch: dict[str, Any] | None, documents: list[dict[str, Any]]) -> str:
    for life in documents:
        if life.get("kept"):
            rows = life.get("tokens")
            if rows:
                n = sum(r["end"] - r["start"] for r in rows)
                return f"in the data: {n:,} tokens in {len(rows)} rows of the {rows[0]['split']} split"
            return "in the curated data"
    for life in documents:
        for stage in ("curate", "extract"):
            for d in life.get(stage, []):
                kept = f" of {d['kept_url']} ({d['similarity']:.3f})" if d.get("kept_url") else ""
                note = f" ({d['note']})" if d.get("note") else ""
                return f"dropped by {d['gate']}: {', '.join(d['reasons'])}{kept}{note}"
        if life.get("document"):
            return "extracted, not curated yet"
    assert fetch is not None
    note = f" ({fetch['note']})" if fetch["note"] else ""
    return f"not in the data: {fetch['outcome']}{note}"
