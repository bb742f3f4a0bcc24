"""Perplexity under an n-gram language model of clean text, and CCNet's three buckets by it."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

from pipeline.core.documents import Doc
from pipeline.core.registry import signal
from pipeline.models.ngram import load_ngram_model

BUCKETS = ("head", "middle", "tail")


@signal(
    "perplexity", "perplexity_bucket", batch=True, files=("model",), text=("perplexity_bucket",), requires=("model",)
)
def perplexity(docs: list[Doc], *, model: str = "") -> tuple[list[float | None], list[str | None]]:
    """Perplexity per word, lower for text like the model's, and the bucket by the model's cut points: head, middle,
    tail (Wenzek et al. 2020, CCNet, section 3.2). Null where there is no model for the language, no word, or no cut.

    Args:
        model: a file from `winnow lm train`, for all documents; or a folder with a file for each language
            (`en.npz`, `de.npz`): put a language gate before then.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    folder = Path(model)
    for i, doc in enumerate(docs):
        path = folder / f"{doc.language}.npz" if folder.is_dir() else folder
        if path.is_file():
            groups[str(path)].append(i)
    values: list[float | None] = [None] * len(docs)
    buckets: list[str | None] = [None] * len(docs)
    for name, members in groups.items():
        loaded = load_ngram_model(name)
        low, high = loaded.cuts
        for i, value in zip(members, loaded.perplexity([docs[i].text for i in members]).tolist(), strict=True):
            if math.isnan(value):
                continue
            values[i] = value
            if not math.isnan(low):
                buckets[i] = BUCKETS[(value > low) + (value > high)]
    return values, buckets
