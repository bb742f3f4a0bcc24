"""What curation removes by identity term, dialect, language and host: bias that filters bring in, in numbers.

After Dodge et al. 2021 (C4) and Xu et al. 2021: word lists and toxicity filters drop text by and about minorities more
often than other text. A rate far above that of all documents is a question to look into, not a verdict.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import UsageError
from pipeline.look.run import Run, table_of
from pipeline.text.batch import TextBatch
from pipeline.text.lists import read_list

LISTS = Path(__file__).parent.parent / "lists"
TERM_LISTS = {"identity term": "identity_terms_en", "dialect": "dialect_markers_en"}
MIN_DOCUMENTS = 20  # fewer say nothing about a rate


@dataclass(frozen=True)
class GroupRate:
    """How often curation removed documents of a group.

    Attributes:
        kind: "host", "language", "identity term" or "dialect".
        rate: removed / documents. ratio: the rate over that of all documents. z: standard errors between the two.
        gates: documents that each gate removed, the most first.
    """

    kind: str
    name: str
    documents: int
    removed: int
    rate: float
    ratio: float
    z: float
    gates: dict[str, int]


@dataclass(frozen=True)
class Representation:
    """Removal rates: of all documents, and of groups, by kind, the largest ratio first. Groups under 20 documents are left
    out."""

    documents: int
    removed: int
    rate: float
    by_gate: dict[str, int]
    groups: tuple[GroupRate, ...]


def representation(run: Run, *, top: int = 25) -> Representation:
    """Removal rates of groups of documents, per gate, beside the rate of all.

    Args:
        top: groups of each kind.

    Raises: UsageError if the run lacks an extract or curate step (their texts and decisions are needed).
    """
    extract, curate = run.get("extract"), run.need("curate")
    if extract is None:
        raise UsageError(f"{run.root}: the texts of dropped documents are needed: give a run with an extract step.")
    gates = dict(
        zip(
            *(table_of(curate, "decisions", ["doc_id", "gate"])[c].to_pylist() for c in ("doc_id", "gate")), strict=True
        )
    )
    languages: dict[bytes, str | None] = {}
    signals = table_of(curate, "signals")
    if "language" in signals.column_names:
        languages = dict(zip(signals["doc_id"].to_pylist(), signals["language"].to_pylist(), strict=True))
    lists = {kind: _terms(name) for kind, name in TERM_LISTS.items()}
    groups: dict[tuple[str, str], Counter[str | None]] = defaultdict(Counter)
    total: Counter[str | None] = Counter()
    for batch in extract.batches("data", ["doc_id", "host", "text"]):
        found = _found(batch["text"].to_pylist(), lists)
        rows = zip(batch["doc_id"].to_pylist(), batch["host"].to_pylist(), found, strict=True)
        for doc_id, host, terms in rows:
            gate = gates.get(doc_id)
            total[gate] += 1
            for key in [("host", host or "(none)"), ("language", languages.get(doc_id) or "(unknown)"), *terms]:
                groups[key][gate] += 1
    n = sum(total.values())
    removed = n - total[None]
    rate = removed / max(n, 1)
    rates = [_rate(*key, counts, rate) for key, counts in groups.items() if sum(counts.values()) >= MIN_DOCUMENTS]
    rates.sort(key=lambda r: (r.kind, -r.ratio, r.name))
    kept: list[GroupRate] = []
    for kind in dict.fromkeys(r.kind for r in rates):
        kept += [r for r in rates if r.kind == kind][:top]
    return Representation(n, removed, rate, {g: c for g, c in total.items() if g}, tuple(kept))


def _rate(kind: str, name: str, counts: Counter[str | None], rate: float) -> GroupRate:
    """A group beside the rate of all documents; `counts` are its documents by the gate that removed them, None for kept."""
    size = sum(counts.values())
    gone = size - counts[None]
    error = math.sqrt(max(rate * (1 - rate), 1e-12) / size)
    return GroupRate(
        kind, name, size, gone,
        rate=gone / size,
        ratio=gone / size / rate if rate else 0.0,
        z=(gone / size - rate) / error,
        gates={g: c for g, c in sorted(counts.items(), key=lambda x: -x[1]) if g},
    )  # fmt: skip


def _terms(name: str) -> tuple[list[str], dict[int, int]]:
    """(terms, hash of each -> its number)."""
    terms = read_list(str(LISTS / f"{name}.txt"))
    words = TextBatch(terms).words
    return terms, {int(words.hashes[a]): i for i, a in enumerate(words.first[:-1].tolist())}


def _found(texts: list[str], lists: dict[str, tuple[list[str], dict[int, int]]]) -> list[list[tuple[str, str]]]:
    """(kind, term) of every listed term that a text has; a dialect counts from two different markers on."""
    words = TextBatch(texts).words
    out: list[list[tuple[str, str]]] = [[] for _ in texts]
    owner = np.repeat(np.arange(len(texts)), np.diff(words.first))
    for kind, (terms, numbers) in lists.items():
        hit = np.isin(words.hashes, np.array(list(numbers), np.uint64))
        pairs = sorted(set(zip(owner[hit].tolist(), (numbers[int(h)] for h in words.hashes[hit]), strict=True)))
        if kind == "dialect":
            counts = Counter(d for d, _ in pairs)
            for d, c in counts.items():
                if c >= 2:
                    out[d].append((kind, "African-American English markers"))
        else:
            for d, t in pairs:
                out[d].append((kind, terms[t]))
    return out
