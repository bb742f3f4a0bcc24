"""MinHash signatures by winnow and by its peers: from texts to the keys of the bands, 14 bands of 8 rows over word 5-grams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from datasketch import MinHash
from peers import installed

from pipeline.core.documents import Doc, Documents
from pipeline.matching.builtin import minhash

BANDS, ROWS, SHINGLE = 14, 8, 5
BATCH = 1_000
Keys = tuple[npt.NDArray[np.int64], list[bytes]]  # place of the document, band key
Sketcher = Callable[[list[str]], Any]


def winnow(texts: list[str]) -> Keys:
    places, keys = [], []
    for at in range(0, len(texts), BATCH):
        docs = Documents(Doc(b"0" * 16, t) for t in texts[at : at + BATCH])
        found, flat = minhash(docs, bands=BANDS, rows_per_band=ROWS, shingle_words=SHINGLE)
        places.append(found + at)
        keys.append(flat.tobytes())
    raw = b"".join(keys)
    return np.concatenate(places), [raw[i : i + 16] for i in range(0, len(raw), 16)]


def bands_of(values: npt.NDArray[Any]) -> list[bytes]:
    """The keys of a peer's signature."""
    return [bytes([b]) + values[b * ROWS : (b + 1) * ROWS].tobytes() for b in range(BANDS)]


def _grams(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)]


def datasketch(texts: list[str], hashed: Callable[[bytes], int] | None = None) -> Keys:
    """datasketch's MinHash; SHA-1 unless another hash is given."""
    more: dict[str, Any] = {"hashfunc": hashed} if hashed else {}
    family = MinHash(num_perm=BANDS * ROWS, seed=1, **more)
    keys = []
    for text in texts:
        sketch = family.copy()
        sketch.update_batch([g.encode() for g in _grams(text)])
        keys += bands_of(sketch.hashvalues)
    return np.repeat(np.arange(len(texts)), BANDS), keys


def datasketch_xxh32(texts: list[str]) -> Keys:
    import xxhash

    return datasketch(texts, lambda raw: int(xxhash.xxh32(raw).intdigest()))


def rensa(texts: list[str]) -> Keys:
    from rensa import RMinHash

    keys = []
    for text in texts:
        sketch = RMinHash(num_perm=BANDS * ROWS, seed=1)
        sketch.update(_grams(text))
        keys += bands_of(np.array(sketch.digest(), np.uint64))
    return np.repeat(np.arange(len(texts)), BANDS), keys


def daft(texts: list[str]) -> Any:
    """Signatures only: daft gives no keys of bands."""
    import daft as module

    column = module.col("text").normalize(remove_punct=False, lowercase=True, nfd_unicode=False, white_space=True)
    frame = module.from_pydict({"text": texts})
    return frame.select(column.minhash(num_hashes=BANDS * ROWS, ngram_size=SHINGLE, seed=1)).to_pydict()["text"]


def sketchers() -> list[tuple[str, Sketcher]]:
    """Name and function of winnow and every peer that is installed; missing ones are named."""
    tools: list[tuple[str, Sketcher]] = [("winnow", winnow), ("datasketch SHA-1", datasketch)]
    for title, module, function in (
        ("datasketch xxh32", "xxhash", datasketch_xxh32), ("rensa", "rensa", rensa), ("daft", "daft", daft),
    ):  # fmt: skip
        if installed(module):
            tools.append((title, function))
    return tools
