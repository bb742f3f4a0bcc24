"""Quality by a classifier that the user trains or brings."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.errors import RecipeError
from pipeline.core.registry import signal
from pipeline.models.classifier import NEGATIVE, POSITIVE, normalise
from pipeline.models.fasttext import load_fasttext


@signal("quality", batch=True, files=("model",), requires=("model",))
def quality(docs: list[Doc], *, model: str = "", label: str = POSITIVE) -> npt.NDArray[Any]:
    """Probability that a text is of the positive class of a classifier (Brown et al. 2020, GPT-3; Li et al. 2024, DCLM).

    Args:
        model: a fastText classifier by path: from `winnow classifier train`, or another, such as DCLM's.
        label: the label whose probability is the signal, without `__label__`.

    Raises: RecipeError for a label that the model does not have.
    """
    loaded = load_fasttext(model)
    if label not in loaded.labels:
        raise RecipeError(f"signals.quality.label: {model} has no label '{label}'. It has: {', '.join(loaded.labels)}.")
    own = {POSITIVE, NEGATIVE} == set(loaded.labels)  # winnow's classifiers read normalised words, others the raw text
    batch = normalise([d.text for d in docs]) if own else texts_of(docs)
    found: npt.NDArray[Any] = loaded.probabilities(batch)[:, loaded.labels.index(label)]
    return found
