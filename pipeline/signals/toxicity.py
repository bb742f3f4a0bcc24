"""Toxicity, obscenity, hate and adult spam: word lists, and classifiers on passages."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.errors import RecipeError
from pipeline.core.registry import signal
from pipeline.models.classifier import POSITIVE, normalise
from pipeline.models.fasttext import FastText, load_fasttext
from pipeline.signals.text import Columns, share, word_table
from pipeline.text.batch import TextBatch
from pipeline.text.kernels import words as k
from pipeline.text.lists import list_phrases

PASSAGE_CHARS = 600  # longer lines are cut at a blank: a classifier of posts and comments knows texts of that length
SURE = 0.9  # a passage counts as toxic (hateful) from this probability on


def _listed(docs: list[Doc], words: str) -> Columns:
    batch = texts_of(docs)
    w, listed = batch.words, list_phrases(words)
    found = k.phrase_hits(w.first, w.hashes, listed.beginnings, listed.whole, listed.longest)
    return share(found[:, k.PHRASE_WORDS], word_table(batch)[:, k.N_WORDS]), found[:, k.PHRASE_WORDS]


@signal("toxic_word_frac", "toxic_word_count", batch=True, version=2, files=("words",))
def toxic_words(docs: list[Doc], *, words: str = "toxic_en") -> Columns:
    """Share and number of words that are on a list of insults, threats and obscenities, or part of a listed phrase.

    Args:
        words: a list, by name (`toxic_en` ships with winnow) or path; one word or phrase a line.
    """
    return _listed(docs, words)


@signal("obscene_word_frac", "obscene_word_count", batch=True, files=("words",))
def obscene_words(docs: list[Doc], *, words: str = "obscene_en") -> Columns:
    """Share and number of obscene words.

    Args:
        words: a list, by name or path, such as one of LDNOOBW's.
    """
    return _listed(docs, words)


@signal("adult_word_frac", "adult_word_count", batch=True, files=("words",))
def adult_words(docs: list[Doc], *, words: str = "adult_en") -> Columns:
    """Share and number of words of adult spam: the vocabulary of porn sites and escort advertisements.

    Args:
        words: a list, by name or path.
    """
    return _listed(docs, words)


def _passages(text: str) -> list[str]:
    parts = []
    for line in text.split("\n"):
        at = 0
        while len(line) - at > PASSAGE_CHARS:
            cut = line.rfind(" ", at + PASSAGE_CHARS // 2, at + PASSAGE_CHARS)
            cut = cut if cut > 0 else at + PASSAGE_CHARS
            parts.append(line[at:cut])
            at = cut
        if (rest := line[at:]).strip():
            parts.append(rest)
    return parts


def _split(docs: list[Doc]) -> tuple[TextBatch, npt.NDArray[Any], npt.NDArray[Any]]:
    """(normalised passages of all texts, their characters, the text that each belongs to)."""
    parts = [_passages(d.text) for d in docs]
    flat = [p for each in parts for p in each]
    owner = np.repeat(np.arange(len(docs)), [len(each) for each in parts])
    return normalise(flat), np.array([len(p) for p in flat], float), owner


@cache
def _positive(path: str) -> tuple[FastText, int]:
    model = load_fasttext(path)
    if POSITIVE not in model.labels:
        raise RecipeError(
            f"{path}: a classifier needs the label '{POSITIVE}', this has: {', '.join(model.labels[:5])}."
        )
    return model, model.labels.index(POSITIVE)


def _classified(docs: list[Doc], path: str) -> Columns:
    """(mean by characters, largest, share of characters in passages from SURE on) of the passages' probabilities."""
    model, column = _positive(path)
    words, sizes, owner = texts_of(docs).once("passages", lambda: _split(docs))
    values = model.probabilities(words)[:, column] if len(sizes) else np.zeros(0)
    total = np.maximum(np.bincount(owner, sizes, len(docs)), 1)
    largest: npt.NDArray[Any] = np.zeros(len(docs))
    np.maximum.at(largest, owner, values)
    mean = np.bincount(owner, sizes * values, len(docs)) / total
    return mean, largest, np.bincount(owner, sizes * (values >= SURE), len(docs)) / total


@signal("toxicity", "toxicity_max", "toxic_passage_frac", batch=True, files=("model",))
def toxicity(docs: list[Doc], *, model: str = "toxicity_en") -> Columns:
    """Probability of insult, obscenity and threat over the passages (lines, long ones cut) of a text: their mean by
    characters, the largest, and the share of characters in passages of 0.9 or more.

    Args:
        model: a fastText classifier with the label `positive`, by name (`toxicity_en` ships with winnow) or path.
    """
    return _classified(docs, model)


@signal("hate", "hate_max", "hate_passage_frac", batch=True, files=("model",))
def hate(docs: list[Doc], *, model: str = "hate_en") -> Columns:
    """The same for hate against groups and sexism.

    Args:
        model: a fastText classifier with the label `positive`, by name (`hate_en` ships with winnow) or path.
    """
    return _classified(docs, model)
