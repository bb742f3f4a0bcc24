"""What the bands of a MinHash match find and miss on a user's own documents.

Documents spread over the corpus meet in bands of two rows, which find nearly every pair of any resemblance (with 56 of
them a pair of Jaccard 0.3 meets with probability 0.995); their true similarity is computed; then every choice of bands and
rows is judged by those pairs. Where pairs are too many, those whose keys hash low are taken, and each counts by how likely
it was to be taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.dataset import Dataset
from pipeline.core.documents import Documents, docs_of, texts_of
from pipeline.core.errors import UsageError
from pipeline.core.registry import Call
from pipeline.matching.builtin import chosen_bands, permutations, shingle_sets
from pipeline.matching.kernels import minhash as k
from pipeline.matching.kernels.copies import linked_pairs, shared
from pipeline.matching.tables import distinct

LOOSE_ROWS = 2
PERMUTATIONS = 256
MOST_PAIRS = 2_000_000
BATCH = 1_000
# bands x rows to judge: common ones (datatrove 14 x 8, NeMo Curator 20 x 13, datamap-rs 26 x 11, RefinedWeb 450 x 20 is
# beyond) and others of about as many permutations
CHOICES = (
    (14, 8),
    (20, 5),
    (25, 5),
    (20, 6),
    (28, 4),
    (9, 13),
    (20, 10),
    (16, 8),
    (32, 8),
    (25, 10),
    (19, 13),
    (23, 11),
)
WANTED_RECALL = 0.95
WORTH_IT = 0.75  # a choice that finds enough is suggested if it needs so many permutations, or fewer, of those now
FEW = 50


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs whose true Jaccard similarity lies in [from, to), the last bin with both ends."""

    from_: float
    to: float
    pairs: int


@dataclass(frozen=True)
class Bands:
    """What a choice of bands and rows finds; rates are None where there is no pair to tell them by.

    Attributes:
        recall: share of the pairs at or above `min_similarity` that meet in a band; expected_recall: the same in theory.
        precision: share of the pairs that meet which are at or above it. candidates: pairs that meet.
        now: the recipe's choice. suggested: the one to take instead.
    """

    bands: int
    rows_per_band: int
    recall: float | None
    expected_recall: float | None
    precision: float | None
    candidates: int
    now: bool
    suggested: bool

    @property
    def permutations(self) -> int:
        return self.bands * self.rows_per_band


@dataclass(frozen=True)
class Calibration:
    """What bands find and miss on these documents.

    Attributes:
        documents: that were looked at. pairs: that resemble each other at all; copies: at or above `min_similarity`.
        bands: the recipe's choice first.
    """

    documents: int
    pairs: int
    copies: int
    min_similarity: float
    histogram: tuple[SimilarPairs, ...]
    bands: tuple[Bands, ...]
    advice: str


def calibrate(matches: Sequence[Call], documents: Dataset, *, limit: int = 100_000) -> Calibration:
    """Recall and precision of bands and rows for the recipe's `minhash`.

    Args:
        limit: documents to look at, evenly spread.

    Raises: UsageError if `minhash` is not among the matches.
    """
    call = next((m for m in matches if m.name == "minhash"), None)
    if call is None:
        raise UsageError("calibrate needs the gate minhash, which is not among the recipe's gates.")
    params = call.params
    size, bound = int(params["shingle_words"]), float(params["min_similarity"])
    now = (int(params["bands"]), int(params["rows_per_band"]))
    if params["threshold"] > 0:
        now = chosen_bands(float(params["threshold"]), now[0] * now[1])
    count = max(PERMUTATIONS, now[0] * now[1])
    factors, addends = permutations(count, int(params["seed"]))
    signatures, offsets, values = _sketches(documents, limit, size, factors, addends)
    pairs = _loose_pairs(signatures)
    a, b = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    similar = np.array([_jaccard(offsets, values, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])
    copies = similar >= bound
    rows: list[Bands] = []
    for bands, per_band in dict.fromkeys([now, *CHOICES]):
        if bands * per_band > count:
            continue
        meet = _meets(signatures, a, b, bands, per_band)
        expected = 1 - (1 - similar[copies] ** per_band) ** bands
        rows.append(
            Bands(
                bands,
                per_band,
                recall=float(meet[copies].mean()) if copies.any() else None,
                expected_recall=float(expected.mean()) if copies.any() else None,
                precision=float(copies[meet].mean()) if meet.any() else None,
                candidates=int(meet.sum()),
                now=(bands, per_band) == now,
                suggested=False,
            )
        )
    edges = np.linspace(0, 1, 11)
    counts, _ = np.histogram(similar, edges)
    best, advice = _advise(rows, int(copies.sum()))
    return Calibration(
        documents=len(signatures),
        pairs=len(pairs),
        copies=int(copies.sum()),
        min_similarity=bound,
        histogram=tuple(
            SimilarPairs(round(float(lo), 2), round(float(hi), 2), int(n))
            for lo, hi, n in zip(edges, edges[1:], counts, strict=False)
        ),
        bands=tuple(replace(r, suggested=r is best) for r in rows),
        advice=advice,
    )


def _advise(rows: Sequence[Bands], copies: int) -> tuple[Bands | None, str]:
    """The choice to take instead of the first, which is the recipe's: the cheapest that finds enough; and why."""
    now = rows[0]
    if now.recall is None:
        return None, "No pair is at or above min_similarity: nothing to measure recall by. Look at more documents."
    doubt = f" (of {copies} pairs only: look at more documents)" if copies < FEW else ""
    enough = [r for r in rows if _found(r) >= WANTED_RECALL]
    best = min(enough, key=lambda r: r.permutations) if enough else max(rows, key=lambda r: (_found(r), -r.candidates))
    if now in enough and best.permutations > WORTH_IT * now.permutations:
        return None, f"The bands as they are find {now.recall:.1%} of the copies{doubt}; keep them."
    if best is now:
        return None, (
            f"No choice finds {WANTED_RECALL:.0%} of the copies; the bands as they are find {now.recall:.1%}{doubt}."
        )
    return best, (
        f"Suggested: bands = {best.bands}, rows_per_band = {best.rows_per_band} ({best.permutations} permutations) "
        f"finds {best.recall:.1%} of the copies, {now.recall:.1%} now{doubt}. "
        "Pairs are verified either way: more candidates cost time, not documents."
    )


def _found(row: Bands) -> float:
    """Recall; all rows have one where the first has."""
    return row.recall or 0.0


def _sketches(
    documents: Dataset, limit: int, size: int, factors: npt.NDArray[np.uint32], addends: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Signatures and shingle sets of up to `limit` documents that have words."""
    total = sum(f["rows"] for n, f in documents.manifest["files"].items() if n.startswith("data/"))
    step = max(-(-total // limit), 1)
    signatures = [np.zeros((0, len(factors)), np.uint32)]
    offsets, values = [np.zeros(1, np.int64)], [np.zeros(0, np.uint32)]
    at = 0
    for batch in documents.batches("data", ["doc_id", "text"], rows=BATCH):
        rows = [i for i in range(batch.num_rows) if (at + i) % step == 0]
        at += batch.num_rows
        docs = Documents(d for d in docs_of(pa.table(batch.take(rows))) if d.text.strip())
        if not docs:
            continue
        words = texts_of(docs).words
        filled = np.flatnonzero(np.diff(words.first))
        signatures.append(k.signatures(words.first, words.hashes, size, factors, addends)[filled])
        found, sets = shingle_sets(docs, shingle_words=size)
        sizes = np.diff(found)[filled]
        offsets.append(offsets[-1][-1] + np.cumsum(sizes))
        values.append(sets)
    return np.concatenate(signatures), np.concatenate(offsets), np.concatenate(values)


def _loose_pairs(signatures: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Pairs that share two neighbouring values of their signatures, up to MOST_PAIRS, those whose numbers hash low."""
    found = np.zeros(0, np.uint64)
    nobody = np.zeros(0, np.uint32)
    for at in range(0, 112, LOOSE_ROWS):
        keys = signatures[:, at].astype(np.uint64) << np.uint64(32) | signatures[:, at + 1]
        order = np.argsort(keys)
        linked = linked_pairs(keys[order], np.zeros(0, np.uint64), order.astype(np.uint32), nobody)
        found = distinct(np.concatenate([found, linked]))
        if len(found) > MOST_PAIRS:
            mixed = found * np.uint64(0x9E3779B97F4A7C15)
            found = np.sort(found[np.argsort(mixed)[:MOST_PAIRS]])
    return found


def _jaccard(offsets: npt.NDArray[np.int64], values: npt.NDArray[np.uint32], x: int, y: int) -> float:
    a, b = values[offsets[x] : offsets[x + 1]], values[offsets[y] : offsets[y + 1]]
    both = int(shared(a, b))
    return both / (len(a) + len(b) - both)


def _meets(
    signatures: npt.NDArray[np.uint32], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], bands: int, rows: int
) -> npt.NDArray[np.bool_]:
    met = np.zeros(len(a), np.bool_)
    for band in range(bands):
        part = signatures[:, band * rows : (band + 1) * rows]
        met |= (part[a] == part[b]).all(axis=1)
    return met
