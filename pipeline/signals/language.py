"""Language identification with a fastText model (lid.176 by default: Joulin et al. 2016, 176 languages)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.core.registry import signal
from pipeline.core.schema import Doc


class FastTextModel:
    """A fastText model behind the one call of the bindings that works with NumPy 2: predict on a list."""

    def __init__(self, path: Path) -> None:
        import fasttext

        self._model: Any = fasttext.load_model(str(path))

    def predict(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """(label, probability) of the best label for each text; line breaks count as spaces."""
        if not texts:
            return []
        flat = [" ".join(t.split()) for t in texts]
        labels, scores = self._model.predict(flat, k=1)
        return [
            (row[0].removeprefix("__label__"), min(float(p[0]), 1.0)) if len(row) else ("und", 0.0)
            for row, p in zip(labels, scores, strict=True)
        ]


@cache
def load_model(path: str) -> FastTextModel:
    """A model, loaded once per process."""
    return FastTextModel(Path(path))


@signal("language", "language_score", batch=True, files=("model",), text=("language",))
def language(docs: list[Doc], *, model: str = "lid.176") -> tuple[list[str], list[float]]:
    """The most probable language and its probability.

    Args:
        model: a fastText language model, by name (`winnow models list`) or path.
    """
    found = load_model(model).predict([d.text for d in docs])
    return [label for label, _ in found], [score for _, score in found]
