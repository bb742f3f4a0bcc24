"""Language identification with a fastText model (lid.176 by default: Joulin et al. 2016, 176 languages)."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import signal
from pipeline.models.fasttext import load_fasttext
from pipeline.text.batch import TextBatch

PARAGRAPH_CHARS = 30  # shorter paragraphs are too little to tell a language by


@signal("language", "language_score", batch=True, version=2, files=("model",), text=("language",))
def language(docs: list[Doc], *, model: str = "lid.176") -> tuple[list[str], npt.NDArray[Any]]:
    """The most probable language and its probability.

    Args:
        model: a fastText language model, by name (`winnow models list`) or path: lid.176, GlotLID, OpenLID, your own.
            Languages are the model's labels without `__label__`.
    """
    return load_fasttext(model).predict(texts_of(docs))


@signal("language_paragraph_frac", "language_count", batch=True, files=("model",))
def paragraphs(docs: list[Doc], *, model: str = "lid.176") -> tuple[list[float | None], list[float | None]]:
    """Share of characters in paragraphs whose own language is that of most paragraphs (by characters), and how many
    languages paragraphs have. Paragraphs under 30 characters do not count; null if all are.

    Args:
        model: as for `language`.
    """
    parts = [[p for p in d.paragraphs if len(p) >= PARAGRAPH_CHARS] for d in docs]
    labels, _ = load_fasttext(model).predict(TextBatch([p for each in parts for p in each]))
    shares: list[float | None] = []
    counts: list[float | None] = []
    at = 0
    for each in parts:
        by_label: dict[str, int] = {}
        for label, p in zip(labels[at : at + len(each)], each, strict=True):
            by_label[label] = by_label.get(label, 0) + len(p)
        at += len(each)
        shares.append(max(by_label.values()) / sum(by_label.values()) if by_label else None)
        counts.append(float(len(by_label)) if by_label else None)
    return shares, counts
