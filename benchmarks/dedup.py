"""Near-copy search: MinHash signatures per CPU second, and recall at planted similarities, beside installed peers.

    python benchmarks/dedup.py TEXTS... [--documents 20000] [--words 690]

Builds documents from the words of TEXTS (as in parity.py; fixed seed), plants near copies of known Jaccard similarity of
word 5-grams, and gives the same documents to every tool, in one run and one process: winnow, datasketch, and rensa where
it is installed. 112 permutations, 14 bands of 8 rows; CPU seconds from text to band keys. A planted pair counts as found
when a band of both agrees; `false` counts documents without a copy that meet another one. With --cyrillic every `e` is a
Cyrillic one, so that no word takes the ASCII path.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasketch import MinHash
from texts import load_texts

from pipeline.core.schema import Doc
from pipeline.matching.builtin import jaccard, minhash

BANDS, ROWS, SHINGLE = 14, 8, 5
LEVELS = (0.95, 0.9, 0.85, 0.8, 0.7, 0.5)
BATCH = 1_000
Keys = tuple[npt.NDArray[np.int64], list[bytes]]  # place of the document, band key


def corpus(
    words: list[str], documents: int, length: int, per_level: int
) -> tuple[list[str], list[tuple[int, int, int]]]:
    """(texts, planted pairs as (one, other, level)). A copy has single words replaced until its similarity is reached."""
    rng = np.random.default_rng(1)
    texts = []
    for _ in range(documents):
        at = rng.integers(0, len(words) - length)
        part = words[at : at + length]
        for i in range(0, length, 3):  # no two documents share a 5-gram but planted copies
            part[i] = f"{part[i]}{rng.integers(10**6)}"
        texts.append(" ".join(part))
    pairs = []
    for level, similarity in enumerate(LEVELS):
        for k in range(per_level):
            source = level * per_level + k
            # n changes far apart spoil 5 n of length shingles: J = (m - 5 n) / (m + 5 n)
            changes = round((length - 4) * (1 - similarity) / (1 + similarity) / SHINGLE)
            part = texts[source].split()
            for c in range(changes):
                part[int((c + 0.5) * length / changes)] = f"z{rng.integers(10**9)}"
            pairs.append((source, len(texts), level))
            texts.append(" ".join(part))
    return texts, pairs


def winnow(texts: list[str]) -> Keys:
    places, keys = [], []
    for at in range(0, len(texts), BATCH):
        docs = [Doc(b"0" * 16, t) for t in texts[at : at + BATCH]]
        found, flat = minhash(docs, bands=BANDS, rows_per_band=ROWS, shingle_words=SHINGLE)
        places.append(found + at)
        keys += [bytes(k) for k in flat]
    return np.concatenate(places), keys


def _bands(values: npt.NDArray[np.uint64]) -> list[bytes]:
    return [bytes([b]) + values[b * ROWS : (b + 1) * ROWS].tobytes() for b in range(BANDS)]


def _grams(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)]


def datasketch(texts: list[str]) -> Keys:
    family = MinHash(num_perm=BANDS * ROWS, seed=1)
    keys = []
    for text in texts:
        sketch = family.copy()
        sketch.update_batch([g.encode() for g in _grams(text)])
        keys += _bands(sketch.hashvalues)
    return np.repeat(np.arange(len(texts)), BANDS), keys


def rensa_sketches(texts: list[str]) -> Keys:
    from rensa import RMinHash  # type: ignore[import-not-found]

    keys = []
    for text in texts:
        sketch = RMinHash(num_perm=BANDS * ROWS, seed=1)
        sketch.update(_grams(text))
        keys += _bands(np.array(sketch.digest(), np.uint64))
    return np.repeat(np.arange(len(texts)), BANDS), keys


def found_pairs(keys: Keys) -> set[tuple[int, int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, key in zip(keys[0].tolist(), keys[1], strict=True):
        groups[key].append(place)
    return {(a, b) for g in groups.values() if len(g) > 1 for a in g for b in g if a < b}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=690)
    parser.add_argument("--peer-documents", type=int, default=3_000, help="peers get so many: they are slower")
    parser.add_argument("--cyrillic", action="store_true")
    args = parser.parse_args()
    words = " ".join(load_texts(args.texts, 2_000)).split()
    if args.cyrillic:
        words = [w.replace("e", "е") for w in words]
    per_level = min(300, args.peer_documents // (2 * len(LEVELS)))
    texts, pairs = corpus(words, args.documents, args.words, per_level)
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    print(f"{len(texts):,} documents, {megabytes:.0f} MB, {per_level} planted pairs at each similarity")
    true = [
        np.mean(
            [jaccard(Doc(b"", texts[a]), Doc(b"", texts[b]), shingle_words=SHINGLE) for a, b, n in pairs if n == level]
        )
        for level in range(len(LEVELS))
    ]
    planted = [texts[a] for a, _, _ in pairs] + [texts[b] for _, b, _ in pairs]
    few = planted + texts[len(pairs) : len(pairs) + max(args.peer_documents - len(planted), 0)]
    tools: list[tuple[str, Callable[[list[str]], Keys], list[str]]] = [
        ("winnow", winnow, texts),
        ("datasketch", datasketch, few),
    ]
    try:
        import rensa  # noqa: F401

        tools.append(("rensa", rensa_sketches, few))
    except ModuleNotFoundError:
        print("rensa is not installed: left out")
    winnow(texts[:100])
    print(
        f"{'':<12}{'documents/CPU s':>16}{'MB/s':>7}   recall at J " + " ".join(f"{t:.2f}" for t in true) + "   false"
    )
    for name, tool, given in tools:
        began = time.process_time()
        keys = tool(given)
        seconds = time.process_time() - began
        met = found_pairs(keys)
        half = len(pairs)
        places = [(a, b) for a, b, _ in pairs] if given is texts else [(i, half + i) for i in range(half)]
        recall = [
            np.mean([p in met for p, (_, _, n) in zip(places, pairs, strict=True) if n == level])
            for level in range(len(LEVELS))
        ]
        false = len(met - set(places))
        rate = len(given) / seconds
        size = sum(len(t.encode()) for t in given) / 1e6
        print(
            f"{name:<12}{rate:>16,.0f}{size / seconds:>7.1f}               "
            + " ".join(f"{r:.2f}" for r in recall)
            + f"{false:>8}"
        )


if __name__ == "__main__":
    main()
