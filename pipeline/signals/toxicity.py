"""A word-list toxicity signal: how much of a text is on a list of flagged words."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipeline.core.registry import signal
from pipeline.core.schema import WORD, Doc


@cache
def load_words(path: str) -> frozenset[tuple[str, ...]]:
    """Entries of a list file, one word or phrase a line, lower case; '#' starts a comment."""
    lines = (line.split("#")[0].strip().lower() for line in Path(path).read_text("utf-8").splitlines())
    return frozenset(tuple(WORD.findall(line)) for line in lines if line)


@signal("toxic_word_frac", "toxic_word_count", files=("words",))
def toxic_words(doc: Doc, *, words: str = "toxic_en") -> tuple[float, int]:
    """Share and number of words that are on the list or part of a listed phrase.

    Args:
        words: a list, by name (`toxic_en` ships with winnow) or path; one word or phrase a line.
    """
    entries = load_words(words)
    tokens = doc.lower_words
    longest = max(map(len, entries), default=0)
    hits = i = 0
    while i < len(tokens):
        length = next((n for n in range(longest, 0, -1) if tuple(tokens[i : i + n]) in entries), 0)
        hits += length
        i += max(length, 1)
    return hits / max(len(tokens), 1), hits
