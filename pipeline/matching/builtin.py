"""Built-in matches: exact text and MinHash bands."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from datasketch import MinHash

from pipeline.core.registry import match
from pipeline.core.schema import Doc


@match("exact", reason="exact_copy")
def exact(doc: Doc) -> Iterator[bytes]:
    """One key: BLAKE2b-128 of the text in NFC, white space folded. Equal keys count as equal texts."""
    normal = " ".join(unicodedata.normalize("NFC", doc.text).split())
    yield hashlib.blake2b(normal.encode(), digest_size=16).digest()


def shingles(doc: Doc, size: int) -> set[bytes]:
    """Distinct word n-grams of the lower-cased text; a shorter text is one shingle of all its words."""
    words = [w.encode() for w in doc.lower_words]
    if len(words) <= size:
        return {b" ".join(words)} if words else set()
    return {b" ".join(words[i : i + size]) for i in range(len(words) - size + 1)}


def jaccard(a: Doc, b: Doc, *, shingle_words: int, **_: Any) -> float:
    """|A ∩ B| / |A ∪ B| of the shingle sets, 0.0 where both are empty."""
    x, y = shingles(a, shingle_words), shingles(b, shingle_words)
    return len(x & y) / max(len(x | y), 1)


@cache
def _family(permutations: int, seed: int) -> Any:
    """One empty MinHash per process; its copies share the random permutations."""
    return MinHash(num_perm=permutations, seed=seed)


@match("minhash", similarity=jaccard, reason="near_copy")
def minhash(
    doc: Doc,
    *,
    bands: int = 14,
    rows_per_band: int = 8,
    shingle_words: int = 5,
    seed: int = 1,
    min_similarity: float = 0.7,
) -> Iterator[bytes]:
    """MinHash-LSH: a key per band of the signature (Broder 1997; bands and rows as FineWeb uses them).

    Args:
        bands, rows_per_band: a pair of Jaccard similarity s meets with probability 1 - (1 - s^rows)^bands.
        shingle_words: words per shingle.
        seed: of the permutations.
        min_similarity: true Jaccard similarity of the shingle sets at which a candidate counts as a copy; inclusive.
    """
    parts = shingles(doc, shingle_words)
    if not parts:
        return
    sketch = _family(bands * rows_per_band, seed).copy()
    sketch.update_batch(sorted(parts))
    values = np.asarray(sketch.hashvalues, dtype="<u8").reshape(bands, rows_per_band)
    for band, row in enumerate(values):
        yield hashlib.blake2b(band.to_bytes(2, "little") + row.tobytes(), digest_size=16).digest()
