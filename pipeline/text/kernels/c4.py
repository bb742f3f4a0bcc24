"""The line rules of C4 (Raffel et al. 2020; c4_utils of TensorFlow Datasets), as one pass over a batch of texts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.text.kernels.bytes import class_of, code_at, find_byte
from pipeline.text.kernels.chars import DIGIT, SPACE
from pipeline.text.kernels.lines import SPLITLINES, chars_in, cut, strip

MAX_WORD_CHARS = 1000
_EDIT = np.frombuffer(b"[edit]", np.uint8)
_CITE = np.frombuffer(b"[citation needed]", np.uint8)

# Columns of what is known of a phrase; outcomes are the bits of `_read`
LENGTH, RARE_AT, OUTCOME, FACT_COLUMNS = range(4)


def _patterns() -> tuple[npt.NDArray[np.uint8], ...]:
    """Phrases with the place of a letter that is rare in prose: only there is a phrase compared. Sorted by letter."""
    rows = [
        (b"lorem ipsum", 7, 1), (b"javascript", 0, 2), (b"terms of use", 7, 4), (b"privacy policy", 3, 4),
        (b"cookie policy", 3, 4), (b"uses cookies", 8, 4), (b"use of cookies", 10, 4), (b"use cookies", 7, 4),
    ]  # fmt: skip
    text = np.zeros((len(rows), 16), np.uint8)
    facts = np.zeros((len(rows), FACT_COLUMNS), np.uint8)
    trigger = np.zeros(256, np.uint8)
    for r, (phrase, place, outcome) in enumerate(rows):
        text[r, : len(phrase)] = np.frombuffer(phrase, np.uint8)
        facts[r, LENGTH], facts[r, RARE_AT], facts[r, OUTCOME] = len(phrase), place, outcome
        for c in (phrase[place], phrase[place] - 32):
            trigger[c] = 1
    trigger[ord("{")] = 2
    for mark in b".!?":
        trigger[mark] = 3
    return text, facts, trigger


_TEXT, _FACTS, _TRIGGER = _patterns()

# What became of a line
KEPT, LONG_WORD, NO_END, FEW_WORDS, HAS_LOREM, HAS_JAVASCRIPT, HAS_CURLY, IS_POLICY = range(8)
WHITE_SPACE, LINE_BREAK, CITATION = 8, 9, 10


@njit(cache=True)
def _at(data, i, hi, text):
    if i + len(text) > hi:
        return False
    k = 0
    while k < len(text) and data[i + k] == text[k]:
        k += 1
    return k == len(text)


@njit(cache=True)
def citation_end(data, i, hi, flags):
    """End of a citation mark ([12], [], [edit], [citation needed]) that begins at i, or i if there is none."""
    if data[i] != 91:
        return i
    j = i + 1
    while j < hi:
        code, width = code_at(data, j)
        if not class_of(flags, code) & DIGIT:
            break
        j += width
    if j < hi and data[j] == 93:
        return j + 1
    if _at(data, i, hi, _EDIT):
        return i + len(_EDIT)
    if _at(data, i, hi, _CITE):
        return i + len(_CITE)
    return i


@njit(cache=True)
def _sentence_ends(data, i, hi, flags):
    """(place behind, whether a sentence ends): a run of . ! ? with closing quotes or brackets, then white space, then
    further text."""
    while i < hi and (data[i] == 46 or data[i] == 33 or data[i] == 63):
        i += 1
    while i < hi and (data[i] == 34 or data[i] == 39 or data[i] == 41 or data[i] == 93):
        i += 1
    j = i
    while j < hi:
        code, width = code_at(data, j)
        if not class_of(flags, code) & SPACE:
            break
        j += width
    return j, i < j < hi


@njit(cache=True)
def _read(data, lo, hi, flags):
    """(outcomes as bits, sentences) of a line: 1 lorem ipsum, 2 javascript, 4 policy phrase, 8 curly bracket. ASCII
    case is ignored."""
    outcome = np.int64(0)
    sentences = 1
    i = lo
    while i < hi:
        what = _TRIGGER[data[i]]
        if what == 0:
            i += 1
            continue
        if what == 3:
            i, ends = _sentence_ends(data, i, hi, flags)
            sentences += ends
            continue
        if what == 2:
            outcome |= 8
        else:
            letter = data[i] | 32
            for r in range(len(_FACTS)):
                length, place = np.int64(_FACTS[r, LENGTH]), np.int64(_FACTS[r, RARE_AT])
                if _TEXT[r, place] != letter or i - place < lo or i - place + length > hi:
                    continue
                k = 0
                while k < length:
                    b = data[i - place + k]
                    if 65 <= b <= 90:
                        b |= 32
                    if b != _TEXT[r, k]:
                        break
                    k += 1
                if k == length:
                    outcome |= np.int64(_FACTS[r, OUTCOME])
        i += 1
    return outcome, sentences


@njit(cache=True)
def judge(data, lo, hi, flags, need_end, buffer):
    """(fate, sentences) of the stripped line data[lo:hi]; `buffer` has room for its bytes."""
    words = run = 0
    i = lo
    short = hi - lo <= MAX_WORD_CHARS  # then no word can be too long, and three words are enough to see
    while i < hi:
        if 32 < data[i] < 127:
            words += run == 0
            run += 1
            i += 1
        else:
            code, width = code_at(data, i)
            if class_of(flags, code) & SPACE:
                run = 0
            else:
                words += run == 0
                run += 1
            i += width
        if run > MAX_WORD_CHARS:
            return LONG_WORD, 0
        if short and words == 3:
            break
    i = find_byte(data, lo, hi, 91)
    if i < hi:  # square brackets: read a copy without citation marks
        n = 0
        i = lo
        while i < hi:
            end = citation_end(data, i, hi, flags)
            if end > i:
                i = end
                continue
            buffer[n] = data[i]
            n += 1
            i += 1
        return _judge_plain(buffer, 0, n, flags, need_end, words)
    return _judge_plain(data, lo, hi, flags, need_end, words)


@njit(cache=True)
def _judge_plain(data, lo, hi, flags, need_end, words):
    if need_end:
        last = data[hi - 1] if hi > lo else 0
        dots = hi - lo >= 3 and data[hi - 1] == 46 and data[hi - 2] == 46 and data[hi - 3] == 46
        if dots or not (last == 46 or last == 63 or last == 33 or last == 34 or last == 39):
            return NO_END, 0
    if words < 3:
        return FEW_WORDS, 0
    outcome, sentences = _read(data, lo, hi, flags)
    if outcome == 0:
        return KEPT, sentences
    if outcome & 1:
        return HAS_LOREM, 0
    if outcome & 2:
        return HAS_JAVASCRIPT, 0
    if outcome & 8:
        return HAS_CURLY, 0
    return IS_POLICY, 0


# Columns of `c4_counts`
C4_LINES, C4_KEPT, C4_LOREM, C4_CURLY, C4_SENTENCES, C4_COLUMNS = range(6)


@njit(cache=True)
def c4_counts(data, offsets, flags, need_end):
    """One row per text: lines, lines that stay, lines with 'lorem ipsum' and with a curly bracket among those that
    the line rules reach, sentences of the lines that stay."""
    n_docs = len(offsets) - 1
    out = np.zeros((n_docs, C4_COLUMNS))
    spans = np.empty(4096, np.int64)
    buffer = np.empty(4096, np.uint8)
    for d in range(n_docs):
        spans, n = cut(data, offsets[d], offsets[d + 1], flags, SPLITLINES, spans)
        out[d, C4_LINES] = n
        for s in range(n):
            lo, hi = strip(data, spans[2 * s], spans[2 * s + 1], flags)
            if hi - lo > len(buffer):
                buffer = np.empty(2 * (hi - lo), np.uint8)
            fate, sentences = judge(data, lo, hi, flags, need_end, buffer)
            if fate == KEPT:
                out[d, C4_KEPT] += 1
                out[d, C4_SENTENCES] += sentences
            elif fate == HAS_LOREM:
                out[d, C4_LOREM] += 1
            elif fate == HAS_CURLY:
                out[d, C4_CURLY] += 1
    return out


# Columns of `c4_spans`
START, END, KIND, SPAN_COLUMNS = range(4)


@njit(cache=True)
def c4_spans(data, flags, need_end):
    """What C4 takes out of one text: a row of START, END (characters) and KIND for each span, ascending.

    The kind is the fate of a line, WHITE_SPACE for blanks around lines, LINE_BREAK for those between two kept lines
    (one line feed stays) and CITATION for a citation mark in a kept line.
    """
    spans, n = cut(data, 0, len(data), flags, SPLITLINES, np.empty(256, np.int64))
    out = np.empty((64, SPAN_COLUMNS), np.int64)
    m = 0
    longest = 1
    for s in range(n):
        longest = max(longest, spans[2 * s + 1] - spans[2 * s])
    buffer = np.empty(longest, np.uint8)
    at = 0  # all before is dealt with; `chars` characters
    chars = 0
    any_kept = False
    for s in range(n):
        lo, hi = strip(data, spans[2 * s], spans[2 * s + 1], flags)
        if lo == hi:
            continue  # a blank line is part of the gap before the next one
        fate, _ = judge(data, lo, hi, flags, need_end, buffer)
        if m + 4 > len(out):
            grown = np.empty((2 * len(out), SPAN_COLUMNS), np.int64)
            grown[:m] = out[:m]
            out = grown
        if fate != KEPT:
            end = chars + chars_in(data, at, hi)
            if end > chars:
                out[m, START], out[m, END], out[m, KIND] = chars, end, fate
                m += 1
            at, chars = hi, end
            continue
        start = chars + chars_in(data, at, lo)
        if any_kept and m > 0 and out[m - 1, END] == chars and out[m - 1, KIND] < WHITE_SPACE and start > chars:
            out[m, START], out[m, END], out[m, KIND] = chars, start, LINE_BREAK
            m += 1
        elif start > chars and not (any_kept and lo - at == 1 and data[at] == 10):
            out[m, START], out[m, END] = chars, start
            out[m, KIND] = LINE_BREAK if any_kept else WHITE_SPACE
            m += 1
        any_kept = True
        i = lo
        place = start
        while i < hi:
            found = find_byte(data, i, hi, 91)
            place += chars_in(data, i, found)
            i = found
            if i == hi:
                break
            end = citation_end(data, i, hi, flags)
            if end == i:
                i += 1
                place += 1
                continue
            if m + 4 > len(out):
                grown = np.empty((2 * len(out), SPAN_COLUMNS), np.int64)
                grown[:m] = out[:m]
                out = grown
            width = chars_in(data, i, end)
            out[m, START], out[m, END], out[m, KIND] = place, place + width, CITATION
            m += 1
            place += width
            i = end
        at, chars = hi, place
    end = chars + chars_in(data, at, len(data))
    if end > chars:
        out[m, START], out[m, END], out[m, KIND] = chars, end, WHITE_SPACE
        m += 1
    return out[:m]
