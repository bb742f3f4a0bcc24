"""Repetition statistics behind the Gopher repetition rules (Rae et al. 2021, table A1).

The first copy of an n-gram does not count as a duplicate, and shares are of the characters inside words. Case is
ignored. `pipeline.signals.datatrove` has the variants that datatrove measures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import signal
from pipeline.signals.text import Columns, share, word_table
from pipeline.text.batch import TextBatch, Words
from pipeline.text.kernels import ngrams as g
from pipeline.text.kernels import words as k


def ngram_table(batch: TextBatch, name: str) -> npt.NDArray[np.float64]:
    """(texts, columns of `ngram_counts`) over the batch's words or tokens."""
    w: Words = getattr(batch, name)
    table: npt.NDArray[np.float64] = batch.once(f"{name} n-grams", lambda: g.ngram_counts(w.first, w.chars, w.hashes))
    return table


@signal(
    *(f"top_{n}gram_char_frac" for n in g.TOP_N), *(f"dup_{n}gram_char_frac" for n in g.DUP_N),
    "unique_word_frac", "repeated_10gram_frac",
    batch=True, version=2,
)  # fmt: skip
def ngrams(docs: list[Doc]) -> Columns:
    """`top_Ngram_char_frac`: characters in all occurrences of the most frequent n-gram / characters in words, 0.0 if
    none occurs twice; of n-grams that are equally frequent the longest counts. `dup_Ngram_char_frac`: characters of
    words covered by an n-gram that occurred before / characters in words; each character once. `unique_word_frac`:
    different words / words. `repeated_10gram_frac`: share of 10-grams that occur more than once."""
    batch = texts_of(docs)
    w, t = word_table(batch), ngram_table(batch, "words")
    total, n = w[:, k.SUM_CHARS], w[:, k.N_WORDS]
    return (
        *(np.minimum(share(t[:, column], total), 1.0) for column in g.TOP),
        *(share(t[:, column], total) for column in g.DUP),
        share(t[:, g.UNIQUE_WORDS], n),
        share(t[:, g.REPEATED_10], np.maximum(n - 9, 0)),
    )
