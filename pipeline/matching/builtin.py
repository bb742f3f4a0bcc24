"""Built-in matches: exact text, address, MinHash bands, SimHash."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt
import regex
from w3lib.url import canonicalize_url, url_query_cleaner

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import match
from pipeline.matching.kernels import minhash as k
from pipeline.matching.kernels.copies import shared
from pipeline.text.simhash import block_keys, simhashes
from pipeline.text.urls import split_url

_MARKS = regex.compile(r"[\p{Mn}\p{Mc}]{128}")
_TWO_MARKS = regex.compile(r"[\p{Mn}\p{Mc}]{2}")


def composed(text: str) -> str:
    """A text in NFC; of more marks behind one another than any language writes, each 128 by themselves.

    Unicode orders the marks behind a letter by their classes, and Python's way to do so takes the square of their number (UAX
    #15 cuts such runs after 30: Stream-Safe Text Format).
    """
    if text.isascii():
        return text
    if not _TWO_MARKS.search(text[::64]):  # every run of so many has two of these characters
        return unicodedata.normalize("NFC", text)
    edges = [0, *(m.end() for m in _MARKS.finditer(text)), len(text)]
    return "".join(unicodedata.normalize("NFC", text[a:b]) for a, b in itertools.pairwise(edges))


@match("exact", reason="exact_copy")
def exact(doc: Doc) -> Iterator[bytes]:
    """One key: BLAKE2b-128 of the text in NFC, white space folded. Equal keys count as equal texts."""
    normal = " ".join(composed(doc.text).split())
    yield hashlib.blake2b(normal.encode("utf-8", "replace"), digest_size=16).digest()


# Parameters that say where a visitor came from, not what a page is
_TRACKERS = re.compile(r"utm_\w+|fbclid|gclid|dclid|msclkid|mc_[ce]id|igshid|yclid|ref_src|_ga")


@match("url", reason="url_copy")
def url(doc: Doc) -> Iterator[bytes]:
    """One key: the address without scheme, `www.`, fragment, tracking parameters and last slash, parameters sorted.
    Documents without an address have none."""
    if not doc.url:
        return
    try:
        plain = canonicalize_url(url_query_cleaner(doc.url, _tracking(doc.url), remove=True, keep_fragments=False))
    except ValueError:  # no address that can be taken apart: equal to itself only
        yield doc.url.encode("utf-8", "replace")
        return
    path, mark, query = (plain.partition("://")[2] or plain).removeprefix("www.").partition("?")
    yield (path.rstrip("/") + mark + query).encode("utf-8", "replace")


def _tracking(address: str) -> list[str]:
    parts = split_url(address)
    query = parse_qsl(parts.query, keep_blank_values=True) if parts is not None else []
    return [n for n, _ in query if _TRACKERS.fullmatch(n)]


def shingle_sets(
    docs: Sequence[Doc], *, shingle_words: int, **_: Any
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Sets of the word n-grams of texts, case ignored, as 32-bit hashes: (offsets, values).

    Two different n-grams of texts of n and m words are taken for one with probability n m / 2^32: a hundredth of a
    percent of one n-gram for pages of 700 words.
    """
    words = texts_of(docs).words
    found: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]] = k.shingle_sets(
        words.first, words.hashes, shingle_words
    )
    return found


def jaccard(a: Doc, b: Doc, *, shingle_words: int) -> float:
    """|A ∩ B| / |A ∪ B| of the shingle sets of two documents, 0.0 where both are empty."""
    offsets, values = shingle_sets([a, b], shingle_words=shingle_words)
    both = int(shared(values[: offsets[1]], values[offsets[1] :]))
    return both / (len(values) - both) if len(values) else 0.0


@cache
def permutations(count: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Odd factors and addends of `count` permutations of the 32-bit numbers."""
    rng = np.random.Generator(np.random.PCG64(seed))
    factors = rng.integers(0, 1 << 32, count, np.uint32) | np.uint32(1)
    return factors, rng.integers(0, 1 << 32, count, np.uint32)


@cache
def chosen_bands(threshold: float, count: int) -> tuple[int, int]:
    """(bands, rows) for a Jaccard threshold in (0, 1], from at most `count` permutations."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=count)
    return int(index.b), int(index.r)


@match("minhash", features=shingle_sets, reason="near_copy", version=3, batch=True)
def minhash(
    docs: Sequence[Doc],
    *,
    bands: int = 14,
    rows_per_band: int = 8,
    threshold: float = 0.0,
    shingle_words: int = 5,
    seed: int = 1,
    min_similarity: float = 0.7,
    min_containment: float = 0.0,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """MinHash-LSH: a key per band of the signature (Broder 1997; bands and rows as FineWeb uses them).

    Args:
        bands, rows_per_band: a pair of Jaccard similarity s meets with probability 1 - (1 - s^rows)^bands.
        threshold: if above 0, bands and rows are chosen for it, with bands * rows_per_band permutations at most, so that
            false candidates and missed ones weigh the same (datasketch's choice).
        shingle_words: words per shingle.
        seed: of the permutations.
        min_similarity: true Jaccard similarity of the shingle sets at which a candidate counts as a copy; inclusive.
        min_containment: if above 0, a candidate counts as a copy also where such a share of its shingles is in the document
            that is kept: an excerpt of it. Inclusive.

    Returns: place in `docs` and key (16 bytes) of every band of every document that has words.
    """
    if threshold > 0:
        bands, rows_per_band = chosen_bands(threshold, bands * rows_per_band)
    words = texts_of(docs).words
    signature = k.signatures(words.first, words.hashes, shingle_words, *permutations(bands * rows_per_band, seed))
    keys = k.band_keys(signature, bands, rows_per_band)
    filled = np.flatnonzero(np.diff(words.first))
    flat = np.ascontiguousarray(keys[filled]).view(np.uint8).reshape(len(filled) * bands, 16)
    return np.repeat(filled, bands), flat


@match("simhash", features=shingle_sets, reason="near_copy", batch=True)
def simhash(
    docs: Sequence[Doc], *, shingle_words: int = 3, min_similarity: float = 0.8, min_containment: float = 0.0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """SimHash of 64 bits: documents meet that differ in at most three bits (Manku et al. 2007). Finds fewer near copies than
    `minhash`, which is the better choice for a corpus; this is what the crawler looks at (`[crawl] repeats`).

    Args:
        shingle_words: words per shingle.
        min_similarity: true Jaccard similarity of the shingle sets at which a candidate counts as a copy; inclusive.
        min_containment: as for `minhash`.

    Returns: place in `docs` and key (16 bytes) of every choice of three blocks of six, for every document that has words.
    """
    words = texts_of(docs).words
    filled = np.flatnonzero(np.diff(words.first))
    keys = block_keys(simhashes(words, shingle_words=shingle_words)[filled])
    flat = np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 16)
    return np.repeat(filled, keys.shape[1]), flat
