"""Whether a text contains items of evaluation sets."""

from __future__ import annotations

import numpy as np

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import signal
from pipeline.decontaminate.sets import build_index
from pipeline.text.kernels import grams as k

NAMED_ITEMS = 200  # items named for one document; more are counted only


@signal(
    "contaminated_ngram_count", "contaminated_word_frac", "contaminated_items",
    batch=True, files=("sets",), text=("contaminated_items",), requires=("sets",),
)  # fmt: skip
def contamination(
    docs: list[Doc], *, sets: tuple[str, ...] = (), ngram: int = 13
) -> tuple[list[float], list[float], list[str | None]]:
    """N-grams of evaluation items in a text, the share of words inside them, and the items ("gsm8k/17 piqa/3").

    Words are compared without case and punctuation, so that a copy that was re-cased or re-punctuated is found.

    Args:
        sets: evaluation sets: JSONL or Parquet files or folders of them.
        ngram: words that must agree (Brown et al. 2020, GPT-3: 13).
    """
    index = build_index(tuple(sets), ngram)
    batch = texts_of(docs)
    words = np.diff(batch.words.first)
    counts, shares = np.zeros(len(docs)), np.zeros(len(docs))
    items: list[str | None] = [None] * len(docs)
    found = index.matches(batch)
    for d in np.unique(found[:, k.GRAM_TEXT]).tolist() if len(found) else []:
        rows = found[found[:, k.GRAM_TEXT] == d]
        hit = np.zeros(words[d], bool)
        for at, n in rows[:, [k.GRAM_WORD, k.GRAM_LENGTH]].tolist():
            hit[at : at + n] = True
        counts[d], shares[d] = len(rows), hit.sum() / words[d]
        items[d] = " ".join(index.items_of(rows[:, k.GRAM_NUMBER].tolist())[:NAMED_ITEMS])
    return counts.tolist(), shares.tolist(), items
