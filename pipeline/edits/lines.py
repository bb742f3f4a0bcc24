"""Edits that take lines out: C4's line rules and RefinedWeb's line corrections."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pipeline.core.documents import Doc
from pipeline.core.registry import edit
from pipeline.core.spans import Span

_KINDS = (
    "", "long_word", "no_end_mark", "few_words", "lorem_ipsum", "javascript", "curly_bracket", "policy",
    "white_space", "white_space", "citation",
)  # fmt: skip


@edit("c4_lines")
def c4_lines(doc: Doc, *, end_mark: bool = True) -> Iterator[Span]:
    """Remove the lines that C4 does not keep, and citation marks ([12], [edit], [citation needed]) in those it keeps.

    A line goes if a word has more than 1,000 characters, if it has fewer than three words, if it does not end with one
    of . ? ! " ' or ends with an ellipsis, or if it has "javascript" or a phrase of a privacy policy in it (Raffel et
    al. 2020, c4_utils). White space around lines goes too.

    Args:
        end_mark: false keeps lines whatever they end with, as FineWeb does.
    """
    from pipeline.text.kernels.c4 import LINE_BREAK, c4_spans
    from pipeline.text.kernels.chars import char_tables

    raw = np.frombuffer(doc.text.encode("utf-8", "replace"), np.uint8)
    for start, end, kind in c4_spans(raw, char_tables()[0], end_mark).tolist():
        yield Span(start, end, _KINDS[kind], "\n" if kind == LINE_BREAK else "")


_COUNTER = re.compile(
    r"^\W*\d[\d.,]*\s*(?:[kmb]\s*)?(?:likes?|shares?|comments?|retweets?|reposts?|quotes?|bookmarks?|upvotes?|downvotes?|"
    r"downloads?|views?|followers?)\W*$",
    re.IGNORECASE,
)
_FURNITURE = re.compile(
    r"^\W*sign[- ]?in|(?:items in cart|read more\.{0,3}|read more…)\W*$|items in cart", re.IGNORECASE
)


def odd_line(line: str) -> bool:
    """Whether RefinedWeb's corrections remove a line: mostly capitals (> 0.5 of its letters), only digits and marks,
    a counter ("3 likes"), a single word, or site furniture in at most ten words ("sign-in" in front, "read more..." at
    the end, "items in cart" anywhere)."""
    text = line.strip()
    words = text.split()
    if not words:
        return False
    if len(words) < 2 or _COUNTER.match(text):
        return True
    letters = upper = 0
    for c in text:
        letters += c.isalpha()
        upper += c.isupper()
    if not letters and any(map(str.isdigit, text)):
        return True
    if letters and upper / letters > 0.5:
        return True
    return len(words) <= 10 and _FURNITURE.search(text) is not None


@edit("refinedweb_lines")
def refinedweb_lines(doc: Doc) -> Iterator[Span]:
    """Remove counters, lines of capitals or digits, single words and site furniture (Penedo et al. 2023, RefinedWeb,
    appendix G.2; bounds as DCLM-Baseline has them). Pages that lose more than 5 % this way: rule set `refinedweb`."""
    at = 0
    for line in doc.text.splitlines(keepends=True):
        if odd_line(line):
            yield Span(at, at + len(line), "odd_line")
        at += len(line)
