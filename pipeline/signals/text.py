"""Word, character and symbol statistics: those behind the Gopher quality rules (Rae et al. 2021, appendix A.1.1) and
the variants of them that other tools measure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import signal
from pipeline.text.batch import TextBatch
from pipeline.text.kernels import ngrams as g
from pipeline.text.kernels import words as k
from pipeline.text.lists import list_table

Columns = tuple[npt.NDArray[Any], ...]


def word_table(batch: TextBatch) -> npt.NDArray[np.float64]:
    """(texts, columns of `word_counts`), shared by all signals over a batch."""
    w = batch.words
    table: npt.NDArray[np.float64] = batch.once("words", lambda: k.word_counts(w.first, w.chars, w.attrs))
    return table


def char_table(batch: TextBatch) -> npt.NDArray[np.float64]:
    """(texts, columns of `char_counts`)."""
    table: npt.NDArray[np.float64] = batch.once("chars", lambda: g.char_counts(batch.data, batch.offsets, batch.flags))
    return table


def share(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """part / whole, 0.0 where the whole is 0 and so is the part."""
    return part / np.maximum(whole, 1)


@signal(
    "word_count", "mean_word_chars", "median_word_chars", "max_word_chars", "alpha_word_frac", "upper_word_frac",
    "hash_word_ratio", "ellipsis_word_ratio", "symbol_word_ratio",
    batch=True, version=2,
)  # fmt: skip
def words(docs: list[Doc]) -> Columns:
    """Words and symbols.

    `word_count`: runs of letters, digits and marks with inner apostrophes and hyphens; punctuation is none. Scripts
    written without spaces are split by ICU's dictionaries. `mean_word_chars`, `median_word_chars` (as Dolma measures),
    `max_word_chars`: length in characters, 0.0 without words. `alpha_word_frac`, `upper_word_frac`: share of words
    with a letter, and of words whose letters are all capitals. `hash_word_ratio`, `ellipsis_word_ratio`: '#' per word,
    and ellipses ('...' or '…') per word; `symbol_word_ratio`: both together.
    """
    batch = texts_of(docs)
    w, c = word_table(batch), char_table(batch)
    n = w[:, k.N_WORDS]
    return (
        n,
        share(w[:, k.SUM_CHARS], n),
        w[:, k.MEDIAN_CHARS],
        w[:, k.MAX_CHARS],
        share(w[:, k.N_ALPHA], n),
        share(w[:, k.N_UPPER], n),
        share(c[:, g.N_HASHES], n),
        share(c[:, g.N_ELLIPSES], n),
        share(c[:, g.N_HASHES] + c[:, g.N_ELLIPSES], n),
    )


@signal("stop_word_count", "stop_word_total", batch=True, version=2, files=("words",))
def stop_words(docs: list[Doc], *, words: str = "gopher_stop") -> Columns:
    """How many different stop words occur, and how many words are stop words.

    Args:
        words: a list, by name or path, one word a line; by default the eight words of the Gopher paper.
    """
    w = texts_of(docs).words
    found = k.listed_words(w.first, w.hashes, *list_table(words))
    return found[:, k.LISTED_KINDS], found[:, k.LISTED_WORDS]


@signal("function_word_frac", batch=True, files=("words",))
def function_words(docs: list[Doc], *, words: str = "function_words_en") -> Columns | npt.NDArray[Any]:
    """Share of words that are function words (articles, pronouns, prepositions, auxiliaries).

    Args:
        words: a list, by name or path, one word a line.
    """
    batch = texts_of(docs)
    w = batch.words
    found = k.listed_words(w.first, w.hashes, *list_table(words))
    return share(found[:, k.LISTED_WORDS], word_table(batch)[:, k.N_WORDS])


@signal(
    "char_count", "alnum_char_frac", "alpha_char_frac", "digit_char_frac", "space_char_frac", "upper_char_frac",
    "bracket_char_frac", "non_plain_char_frac",
    batch=True,
)  # fmt: skip
def characters(docs: list[Doc]) -> Columns:
    """Share of characters that are letters or digits, letters, decimal digits, white space, brackets ( ()[]{}⟨⟩ ).

    `upper_char_frac`: capitals among letters. `non_plain_char_frac`: other than ASCII letters and digits, line breaks
    and `?!,.`, which NeMo Curator calls non-alphanumeric; blanks count as plain here.
    """
    c = char_table(texts_of(docs))
    n = c[:, g.N_CHARS]
    blanks = c[:, g.N_SPACES] - c[:, g.N_NEWLINES]
    return (
        n,
        share(c[:, g.N_ALNUM], n),
        share(c[:, g.N_ALPHA_CHARS], n),
        share(c[:, g.N_DIGITS], n),
        share(c[:, g.N_SPACES], n),
        share(c[:, g.N_UPPER_CHARS], c[:, g.N_ALPHA_CHARS]),
        share(c[:, g.N_BRACKETS], n),
        share(n - c[:, g.N_NEMO_PLAIN] - blanks, n),
    )


@signal("char_10gram_repetition", batch=True)
def char_repetition(docs: list[Doc]) -> npt.NDArray[Any]:
    """Share of runs of ten characters that are among the most frequent ones; of n different runs, floor(sqrt(n)) are
    looked at, those that occur once left out (BigScience ROOTS, Laurençon et al. 2022; Data-Juicer)."""
    batch = texts_of(docs)
    found: npt.NDArray[Any] = g.char_repetition(batch.data, batch.offsets)
    return found
