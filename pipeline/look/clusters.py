"""Clusters of copies: what was kept, what was dropped for it, and where they differ."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.core.bench import work_step
from pipeline.core.errors import UsageError
from pipeline.core.schema import DOC_ID
from pipeline.look.addresses import same_address
from pipeline.look.run import Run, rows_where, table_of

WORDS = 1_500  # of each text are compared


class Part(NamedTuple):
    """Words that follow one another in two texts: `kind` is "equal" or "differs"."""

    kind: str
    kept: str
    copy: str


class Sized(NamedTuple):
    """How many clusters have so many copies."""

    copies: int
    clusters: int


@dataclass(frozen=True)
class DroppedCopy:
    """A document that was dropped for the kept one.

    Attributes:
        parts: both texts in order; none if the kept text is not in this run.
    """

    url: str | None
    doc_id: str
    gate: str
    similarity: float
    note: str | None
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Cluster:
    """A kept document and what was dropped for it.

    Attributes:
        kept: its URL, None for one of an index. size: dropped copies. copies: some of them, those least like it first.
    """

    kept: str | None
    doc_id: str
    size: int
    copies: tuple[DroppedCopy, ...]


@dataclass(frozen=True)
class Clusters:
    """Clusters of a run.

    Attributes:
        clusters, copies: how many there are, of all sizes. sizes: ascending. shown: the largest, or those asked for.
    """

    clusters: int
    copies: int
    sizes: tuple[Sized, ...]
    shown: tuple[Cluster, ...]


def clusters(run: Run, *, gate: str = "", target: str = "", rows: int = 5, copies: int = 3) -> Clusters:
    """The largest clusters, or the one of a URL.

    Args:
        gate: only what this match dropped.
        target: URL or doc_id (32 hex digits) of a kept or a dropped document.
        rows: clusters to show. copies: of each, those least like the kept one first.

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
        same = partial(same_address, target)
        order = [
            k
            for k in order
            if _is(run, k, target) or any(target == r["doc_id"].hex() or same(r["url"]) for r in groups[k])
        ]
        if not order:
            raise UsageError(f"{target}: neither a copy nor kept for one in this run.")
    shown = tuple(_cluster(run, kept, groups[kept], copies) for kept in order[:rows])
    sizes = Counter(len(g) for g in groups.values())
    return Clusters(len(groups), len(dropped), tuple(Sized(*s) for s in sorted(sizes.items())), shown)


def _cluster(run: Run, kept: bytes, dropped: list[dict[str, Any]], copies: int) -> Cluster:
    text, url = _text_of(run, kept)
    listed = sorted(dropped, key=lambda r: (r["similarity"], r["doc_id"]))[:copies]
    made = tuple(
        DroppedCopy(r["url"], r["doc_id"].hex(), r["gate"], r["similarity"], r["note"], _compared(run, text, r))
        for r in listed
    )
    return Cluster(url, kept.hex(), len(dropped), made)


def _is(run: Run, doc_id: bytes, target: str) -> bool:
    return target == doc_id.hex() or same_address(target, _text_of(run, doc_id)[1])


def _compared(run: Run, kept: str | None, dropped: Mapping[str, Any]) -> tuple[Part, ...]:
    if kept is None:
        return ()
    text = _text_of(run, dropped["doc_id"])[0]
    if text is None:  # the documents before curation are gone: the decision has the beginning
        text, kept = dropped["sample"], kept[: len(dropped["sample"])]
    return compare(kept, text)


def _text_of(run: Run, doc_id: bytes) -> tuple[str | None, str | None]:
    """(text, URL) of a document before curation; no text for one of an index."""
    curate = run.need("curate")
    # a command that curates files by itself leaves the documents before curation among its work
    before = run.get("extract") or work_step(
        run.root, "extract", curate.manifest["lineage"]["upstream"].get("extract", "")
    )
    for step in (before, curate):
        rows = rows_where(step, "data", "doc_id", pa.scalar(doc_id, DOC_ID), ["text", "url"]) if step else []
        if rows:
            return rows[0]["text"], rows[0]["url"]
    rows = rows_where(curate, "signals", "doc_id", pa.scalar(doc_id, DOC_ID), ["url"])
    return None, rows[0]["url"] if rows else None


def compare(one: str, other: str) -> tuple[Part, ...]:
    """Parts of two texts in order, by words."""
    a, b = one.split()[:WORDS], other.split()[:WORDS]
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return tuple(
        Part("equal" if tag == "equal" else "differs", " ".join(a[i1:i2]), " ".join(b[j1:j2]))
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
    )
