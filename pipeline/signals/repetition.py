"""Repetition statistics behind the Gopher repetition rules (Rae et al. 2021, table A1).

The first copy of a line, paragraph or n-gram does not count as a duplicate. Character shares are of the characters
inside words for n-grams, and of the characters of stripped lines (paragraphs) for lines (paragraphs).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.core.registry import signal
from pipeline.core.schema import Doc

TOP_N = (2, 3, 4)
DUP_N = (5, 6, 7, 8, 9, 10)


@signal("dup_line_frac", "dup_line_char_frac", "dup_paragraph_frac", "dup_paragraph_char_frac")
def duplicate_lines(doc: Doc) -> tuple[float, float, float, float]:
    """Share of lines that repeat an earlier line, the same by characters, and both for paragraphs."""
    return (*_repeats(doc.lines), *_repeats(doc.paragraphs))


def _repeats(parts: Sequence[str]) -> tuple[float, float]:
    seen: set[str] = set()
    count = chars = 0
    for part in parts:
        if part in seen:
            count += 1
            chars += len(part)
        seen.add(part)
    return count / max(len(parts), 1), chars / max(sum(map(len, parts)), 1)


@signal("top_2gram_char_frac", "top_3gram_char_frac", "top_4gram_char_frac")
def top_ngrams(doc: Doc) -> list[float]:
    """Characters in all occurrences of the most frequent n-gram / characters in words; 0.0 if none occurs twice.

    Of n-grams that are equally frequent the longest counts.
    """
    words = doc.lower_words
    total = max(sum(map(len, words)), 1)
    shares = []
    for n in TOP_N:
        counts = Counter(zip(*(words[i:] for i in range(n)), strict=False))
        best = max(counts.values(), default=0)
        longest = max((sum(map(len, gram)) for gram, c in counts.items() if c == best), default=0)
        shares.append(min(best * longest / total, 1.0) if best > 1 else 0.0)
    return shares


@signal(*(f"dup_{n}gram_char_frac" for n in DUP_N))
def duplicate_ngrams(doc: Doc) -> list[float]:
    """Characters of words covered by an n-gram that occurred before / characters in words; each character once."""
    words = doc.lower_words
    lengths = [len(w) for w in words]
    total = max(sum(lengths), 1)
    shares = []
    for n in DUP_N:
        seen: set[tuple[str, ...]] = set()
        covered = chars = 0  # words before `covered` are already counted
        for i in range(len(words) - n + 1):
            gram = tuple(words[i : i + n])
            if gram in seen:
                chars += sum(lengths[max(i, covered) : i + n])
                covered = i + n
            else:
                seen.add(gram)
        shares.append(chars / total)
    return shares
