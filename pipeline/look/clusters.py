"""Clusters of copies: what was kept, what was dropped for it, and where they differ."""

from __future__ import annotations

import difflib
from collections import Counter
from html import escape
from typing import Any

import pyarrow as pa

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.schema import DOC_ID
from pipeline.look.run import Run, rows_where, table_of

WORDS = 1_500  # of each text are compared
CONTEXT = 8  # equal words shown on each side of a difference


def clusters(run: Run, *, gate: str = "", target: str = "", rows: int = 5, copies: int = 3) -> dict[str, Any]:
    """The largest clusters, or the one of a URL.

    Args:
        gate: only what this match dropped.
        target: URL or doc_id (32 hex digits) of a kept or a dropped document.
        rows: clusters to show. copies: of each, those least like the kept one first.

    Returns: {"clusters", "copies", "sizes": [[copies, clusters]], "shown": [{"kept", "doc_id", "size", "copies": [{"url",
        "doc_id", "gate", "similarity", "note", "parts"}]}]}; parts are [kind, words of the kept text, words of the copy] with
        kind "equal" or "differs".
    Raises: UsageError if nothing was dropped as a copy, or nothing fits.
    """
    curate = run.need("curate")
    columns = ["doc_id", "url", "gate", "kept_doc_id", "similarity", "note", "sample"]
    dropped = [r for r in table_of(curate, "decisions", columns).to_pylist() if r["kept_doc_id"]]
    dropped = [r for r in dropped if not gate or r["gate"] == gate]
    groups: dict[bytes, list[dict[str, Any]]] = {}
    for row in dropped:
        groups.setdefault(row["kept_doc_id"], []).append(row)
    if not groups:
        raise UsageError(f"{run.root}: no document was dropped as a copy{f' by {gate}' if gate else ''}.")
    order = sorted(groups, key=lambda k: (-len(groups[k]), k))
    if target:
        order = [
            k for k in order if _is(run, k, target) or any(target in (r["url"], r["doc_id"].hex()) for r in groups[k])
        ]
        if not order:
            raise UsageError(f"{target}: neither a copy nor kept for one in this run.")
    shown = []
    for kept in order[:rows]:
        text, url = _text_of(run, kept)
        listed = sorted(groups[kept], key=lambda r: (r["similarity"], r["doc_id"]))[:copies]
        shown.append(
            {
                "kept": url,
                "doc_id": kept.hex(),
                "size": len(groups[kept]),
                "copies": [
                    {
                        "url": r["url"],
                        "doc_id": r["doc_id"].hex(),
                        "gate": r["gate"],
                        "similarity": r["similarity"],
                        "note": r["note"],
                        "parts": _compared(run, text, r),
                    }
                    for r in listed
                ],
            }
        )
    sizes = Counter(len(g) for g in groups.values())
    return {"clusters": len(groups), "copies": len(dropped), "sizes": sorted(map(list, sizes.items())), "shown": shown}


def _is(run: Run, doc_id: bytes, target: str) -> bool:
    return target == doc_id.hex() or _text_of(run, doc_id)[1] == target


def _compared(run: Run, kept: str | None, dropped: dict[str, Any]) -> list[tuple[str, str, str]]:
    if kept is None:
        return []
    text = _text_of(run, dropped["doc_id"])[0]
    if text is None:  # the documents before curation are gone: the decision has the beginning
        text, kept = dropped["sample"], kept[: len(dropped["sample"])]
    return compare(kept, text)


def _text_of(run: Run, doc_id: bytes) -> tuple[str | None, str | None]:
    """(text, URL) of a document before curation; no text for one of an index."""
    curate = run.need("curate")
    steps = [run.get("extract") or _extracted(run), curate]
    for step in steps:
        rows = rows_where(step, "data", "doc_id", pa.scalar(doc_id, DOC_ID), ["text", "url"]) if step else []
        if rows:
            return rows[0]["text"], rows[0]["url"]
    rows = rows_where(curate, "signals", "doc_id", pa.scalar(doc_id, DOC_ID), ["url"])
    return None, rows[0]["url"] if rows else None


def _extracted(run: Run) -> Dataset | None:
    """The documents before curation, where a command that curates files by itself has left them."""
    key = run.need("curate").manifest["lineage"]["upstream"].get("extract", "")
    path = run.root / ".work" / f"extract-{key}"
    return open_dataset(path) if is_dataset(path) else None


def compare(one: str, other: str) -> list[tuple[str, str, str]]:
    """Parts of two texts in order, by words: ("equal" or "differs", of the first, of the second)."""
    a, b = one.split()[:WORDS], other.split()[:WORDS]
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    parts = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        parts.append(("equal" if tag == "equal" else "differs", " ".join(a[i1:i2]), " ".join(b[j1:j2])))
    return parts


def shorten(parts: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The same with long equal parts cut to a few words around the differences."""
    out = []
    for n, (kind, one, other) in enumerate(parts):
        if kind == "equal":
            words = one.split()
            head = words[:CONTEXT] if n else []
            tail = words[-CONTEXT:] if n + 1 < len(parts) else []
            if len(words) > len(head) + len(tail) + 3:
                one = other = " ".join([*head, f"[{len(words) - len(head) - len(tail)} words]", *tail])
        out.append((kind, one, other))
    return out


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #222; }
h2 { font-size: 1rem; margin: 2.5rem 0 .5rem; border-top: 1px solid #ccc; padding-top: 1rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; margin-bottom: 1.5rem; }
th, td { width: 50%; text-align: left; vertical-align: top; padding: .4rem .8rem; overflow-wrap: anywhere; }
th { font-weight: 600; background: #f3f3f0; } td { border-left: 3px solid #eee; }
del { background: #ffdfd6; text-decoration: none; } ins { background: #d9f2d9; text-decoration: none; }
.quiet { color: #777; font-weight: 400; }
"""


def as_html(found: dict[str, Any], title: str) -> str:
    """One self-contained page: kept and dropped side by side, differences marked."""
    body = [f"<p>{found['clusters']:,} clusters, {found['copies']:,} dropped copies.</p>"]
    for cluster in found["shown"]:
        body.append(f"<h2>{escape(_name(cluster['kept'], cluster['doc_id']))} and {counted(cluster['size'])}</h2>")
        for copy in cluster["copies"]:
            note = f"; {copy['note']}" if copy["note"] else ""
            head = (
                f"<tr><th>kept</th><th>{escape(_name(copy['url'], copy['doc_id']))} "
                f'<span class="quiet">{escape(copy["gate"])}, {copy["similarity"]:.3f}{escape(note)}</span></th></tr>'
            )
            left, right = [], []
            for kind, one, other in shorten(copy["parts"]):
                left.append(escape(one) if kind == "equal" else f"<del>{escape(one)}</del>" if one else "")
                right.append(escape(other) if kind == "equal" else f"<ins>{escape(other)}</ins>" if other else "")
            row = f"<tr><td>{' '.join(left)}</td><td>{' '.join(right)}</td></tr>" if copy["parts"] else ""
            body.append(f"<table>{head}{row}</table>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{''.join(body)}</html>\n"
    )


def counted(copies: int) -> str:
    return "1 copy" if copies == 1 else f"{copies:,} copies"


def _name(url: str | None, doc_id: str) -> str:
    return url or f"document {doc_id}"
