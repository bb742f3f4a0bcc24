"""Word, line and symbol statistics behind the Gopher quality rules (Rae et al. 2021, appendix A.1.1)."""

from __future__ import annotations

import re

from pipeline.core.registry import signal
from pipeline.core.schema import Doc

BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "–", "-", "*", "·")
ELLIPSES = ("...", "…")
STOP_WORDS = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])  # the eight words that the paper names
_ELLIPSIS = re.compile(r"\.\.\.|…")


@signal("word_count")
def word_count(doc: Doc) -> int:
    """Words: runs of letters and digits with inner apostrophes and hyphens. Punctuation is none."""
    return len(doc.words)


@signal("mean_word_chars")
def mean_word_chars(doc: Doc) -> float:
    """Mean length of a word in characters, 0.0 without words."""
    return sum(map(len, doc.words)) / max(len(doc.words), 1)


@signal("hash_word_ratio", "ellipsis_word_ratio")
def symbol_word_ratios(doc: Doc) -> tuple[float, float]:
    """'#' per word, and ellipses ('...' or '…') per word."""
    n = max(len(doc.words), 1)
    return doc.text.count("#") / n, len(_ELLIPSIS.findall(doc.text)) / n


@signal("bullet_line_frac", "ellipsis_line_frac")
def line_fractions(doc: Doc) -> tuple[float, float]:
    """Share of non-empty lines that start with a bullet, and that end with an ellipsis."""
    n = max(len(doc.lines), 1)
    bullets = sum(line.startswith(BULLETS) for line in doc.lines)
    return bullets / n, sum(line.endswith(ELLIPSES) for line in doc.lines) / n


@signal("alpha_word_frac")
def alpha_word_frac(doc: Doc) -> float:
    """Share of words with at least one letter, 0.0 without words."""
    return sum(any(map(str.isalpha, w)) for w in doc.words) / max(len(doc.words), 1)


@signal("stop_word_count")
def stop_word_count(doc: Doc) -> int:
    """How many different ones of the paper's eight English stop words occur."""
    return len(STOP_WORDS.intersection(doc.lower_words))
