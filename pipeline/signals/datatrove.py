"""The Gopher, FineWeb and C4 statistics as datatrove 0.10.1 measures them, for decisions equal to FineWeb's.

They differ from the paper's in what a word is (single punctuation marks are tokens, and count in most denominators),
in the denominator of character shares (the whole text, line breaks included), in that a top n-gram counts even when it
occurs once, and in that duplicate n-grams are looked for behind the last duplicate only. Tokens are those of the
expression `\\w+|[^\\w\\s]`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.documents import Doc, texts_of
from pipeline.core.registry import signal
from pipeline.signals.repetition import ngram_table
from pipeline.signals.text import Columns, char_table, share
from pipeline.text.batch import TextBatch
from pipeline.text.kernels import lines as lk
from pipeline.text.kernels import ngrams as g
from pipeline.text.kernels import words as k
from pipeline.text.kernels.c4 import C4_CURLY, C4_KEPT, C4_LINES, C4_LOREM, C4_SENTENCES, c4_counts
from pipeline.text.lists import list_table


def _token_table(batch: TextBatch) -> npt.NDArray[np.float64]:
    t = batch.tokens
    table: npt.NDArray[np.float64] = batch.once("tokens", lambda: k.word_counts(t.first, t.chars, t.attrs))
    return table


def _line_table(batch: TextBatch) -> npt.NDArray[np.float64]:
    table: npt.NDArray[np.float64] = batch.once(
        "datatrove lines", lambda: lk.datatrove_line_counts(batch.data, batch.offsets, batch.flags)
    )
    return table


@signal(
    "datatrove_word_count", "datatrove_mean_word_chars", "datatrove_hash_ratio", "datatrove_ellipsis_ratio",
    "datatrove_bullet_line_frac", "datatrove_ellipsis_line_frac", "datatrove_alpha_word_frac",
    "datatrove_stop_word_count",
    batch=True, files=("words",),
)  # fmt: skip
def gopher_quality(docs: list[Doc], *, words: str = "gopher_stop") -> Columns:
    """Tokens that are not all symbols and their mean length; '#' and ellipses per token; lines (empty ones too) that
    start with '•' or '-', that end with an ellipsis; tokens with a letter; different stop words, in lower case only.

    Args:
        words: stop words, by name or path of a list.
    """
    batch = texts_of(docs)
    w, c, lines = _token_table(batch), char_table(batch), _line_table(batch)
    t = batch.tokens
    stop = k.listed_words(t.first, t.hashes, *list_table(words, exact=True))
    n, n_lines = w[:, k.N_WORDS], lines[:, lk.D_LINES]
    return (
        w[:, k.N_PLAIN],
        share(w[:, k.SUM_PLAIN_CHARS], w[:, k.N_PLAIN]),
        share(c[:, g.N_HASHES], n),
        share(c[:, g.N_ELLIPSES], n),
        share(lines[:, lk.D_BULLETS], n_lines),
        share(lines[:, lk.D_ELLIPSES], n_lines),
        share(w[:, k.N_ALPHA], n),
        stop[:, k.LISTED_KINDS],
    )


@signal(
    "datatrove_dup_paragraph_frac", "datatrove_dup_paragraph_char_frac", "datatrove_dup_line_frac",
    "datatrove_dup_line_char_frac",
    batch=True,
)  # fmt: skip
def gopher_lines(docs: list[Doc]) -> Columns:
    """Paragraphs and lines that repeat an earlier one, and their characters / characters of the text. Lines are cut at
    runs of line feeds, paragraphs at two or more."""
    batch = texts_of(docs)
    t, n = _line_table(batch), char_table(batch)[:, g.N_CHARS]
    return (
        share(t[:, lk.D_DUP_PARAS], t[:, lk.D_PARAS]),
        share(t[:, lk.D_DUP_PARA_CHARS], n),
        share(t[:, lk.D_DUP_LINES], t[:, lk.D_SPLIT_LINES]),
        share(t[:, lk.D_DUP_LINE_CHARS], n),
    )


@signal(
    *(f"datatrove_top_{n}gram_char_frac" for n in g.TOP_N), *(f"datatrove_dup_{n}gram_char_frac" for n in g.DUP_N),
    batch=True,
)  # fmt: skip
def gopher_ngrams(docs: list[Doc]) -> Columns:
    """Characters of the most frequent n-gram (the first of equally frequent ones, with a blank between tokens) times
    its occurrences, and of repeated n-grams (without blanks), each / characters of the text."""
    batch = texts_of(docs)
    t, n = ngram_table(batch, "tokens"), char_table(batch)[:, g.N_CHARS]
    return (
        *(share(t[:, column], n) for column in g.TOP_FIRST),
        *(share(t[:, column], n) for column in g.DUP_SKIP),
    )


@signal(
    "fineweb_line_count", "fineweb_terminal_line_frac", "fineweb_short_line_frac", "fineweb_dup_line_char_frac",
    "fineweb_newline_word_ratio",
    batch=True,
)  # fmt: skip
def fineweb(docs: list[Doc]) -> Columns:
    """FineWeb's own statistics (Penedo et al. 2024, section 3.6, as in datatrove): lines that are not blank; those that
    end with a mark that ends a sentence; those of 30 characters or fewer; characters of lines that repeat an earlier one
    / characters without line feeds; line feeds per token."""
    batch = texts_of(docs)
    t, c, w = _line_table(batch), char_table(batch), _token_table(batch)
    n = t[:, lk.F_LINES]
    return (
        n,
        share(t[:, lk.F_TERMINAL], n),
        share(t[:, lk.F_SHORT], n),
        share(t[:, lk.F_DUP_CHARS], t[:, lk.F_CHARS]),
        share(c[:, g.N_NEWLINES], w[:, k.N_WORDS]),
    )


def _c4(docs: list[Doc], need_end: bool) -> Columns:
    batch = texts_of(docs)
    t = batch.once(f"c4 {need_end}", lambda: c4_counts(batch.data, batch.offsets, batch.flags, need_end))
    return t[:, C4_LOREM], t[:, C4_CURLY], t[:, C4_SENTENCES], share(t[:, C4_KEPT], t[:, C4_LINES])


@signal("c4_lorem_ipsum_lines", "c4_curly_lines", "c4_sentence_count", "c4_kept_line_frac", batch=True)
def c4(docs: list[Doc]) -> Columns:
    """What C4's line rules (edit `c4_lines`) would leave: lines with 'lorem ipsum' and with a curly bracket among those
    that the length and end mark rules let through, sentences, and the share of lines that stays."""
    return _c4(docs, True)


@signal("c4_any_end_lorem_ipsum_lines", "c4_any_end_curly_lines", "c4_any_end_sentence_count", "c4_any_end_kept_line_frac",
        batch=True)  # fmt: skip
def c4_any_end(docs: list[Doc]) -> Columns:
    """The same without the rule that a line must end with a mark, which is how FineWeb runs C4."""
    return _c4(docs, False)
