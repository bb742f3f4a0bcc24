"""The line rules of C4 (Raffel et al. 2020; c4_utils of TensorFlow Datasets), as one pass over a batch of texts."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.chars import DIGIT, SPACE
from pipeline.core.kernels.lines import SPLITLINES, cut, strip
from pipeline.core.kernels.words import class_of, code_at

MAX_WORD_CHARS = 1000
_EDIT = np.frombuffer(b"[edit]", np.uint8)
_CITE = np.frombuffer(b"[citation needed]", np.uint8)
_LOREM = np.frombuffer(b"lorem ipsum", np.uint8)
_JAVASCRIPT = np.frombuffer(b"javascript", np.uint8)
_POLICY = np.frombuffer(b"terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies|", np.uint8)

# What became of a line
KEPT, LONG_WORD, NO_END, FEW_WORDS, HAS_LOREM, HAS_JAVASCRIPT, HAS_CURLY, IS_POLICY = range(8)


@njit(cache=True)
def _at(data, i, hi, text):  # type: ignore[no-untyped-def]
    if i + len(text) > hi:
        return False
    for k in range(len(text)):
        if data[i + k] != text[k]:
            return False
    return True


@njit(cache=True)
def _contains(buffer, n, text):  # type: ignore[no-untyped-def]
    """Whether lower-cased ASCII `text` occurs in buffer[:n], ASCII case ignored."""
    first = text[0]
    for i in range(n - len(text) + 1):
        b = buffer[i]
        if 65 <= b <= 90:
            b += 32
        if b != first:
            continue
        k = 1
        while k < len(text):
            c = buffer[i + k]
            if 65 <= c <= 90:
                c += 32
            if c != text[k]:
                break
            k += 1
        if k == len(text):
            return True
    return False


@njit(cache=True)
def citation_end(data, i, hi, flags):  # type: ignore[no-untyped-def]
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
def sentences_in(data, n, flags):  # type: ignore[no-untyped-def]
    """Sentences of data[:n]: one, and one more for each run of . ! ? with closing quotes or brackets before white
    space and further text."""
    count = 1
    i = 0
    while i < n:
        b = data[i]
        i += 1
        if b != 46 and b != 33 and b != 63:
            continue
        while i < n and (data[i] == 46 or data[i] == 33 or data[i] == 63):
            i += 1
        while i < n and (data[i] == 34 or data[i] == 39 or data[i] == 41 or data[i] == 93):
            i += 1
        j = i
        while j < n:
            code, width = code_at(data, j)
            if not class_of(flags, code) & SPACE:
                break
            j += width
        if i < j < n:
            count += 1
        i = j
    return count


@njit(cache=True)
def judge(data, lo, hi, flags, need_end, buffer):  # type: ignore[no-untyped-def]
    """(fate, bytes) of the stripped line data[lo:hi]; its text without citation marks lies in buffer[:bytes]."""
    words = run = 0
    i = lo
    while i < hi:
        code, width = code_at(data, i)
        if class_of(flags, code) & SPACE:
            run = 0
        else:
            words += run == 0
            run += 1
            if run > MAX_WORD_CHARS:
                return LONG_WORD, 0
        i += width
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
    if need_end:
        last = buffer[n - 1] if n else 0
        dots = n >= 3 and buffer[n - 1] == 46 and buffer[n - 2] == 46 and buffer[n - 3] == 46
        if dots or not (last == 46 or last == 63 or last == 33 or last == 34 or last == 39):
            return NO_END, n
    if words < 3:
        return FEW_WORDS, n
    if _contains(buffer, n, _LOREM):
        return HAS_LOREM, n
    if _contains(buffer, n, _JAVASCRIPT):
        return HAS_JAVASCRIPT, n
    for k in range(n):
        if buffer[k] == 123:
            return HAS_CURLY, n
    start = 0
    for k in range(len(_POLICY)):
        if _POLICY[k] == 124:
            if _contains(buffer, n, _POLICY[start:k]):
                return IS_POLICY, n
            start = k + 1
    return KEPT, n


# Columns of `c4_counts`
C4_LINES, C4_KEPT, C4_LOREM, C4_CURLY, C4_SENTENCES, C4_COLUMNS = range(6)


@njit(cache=True)
def c4_counts(data, offsets, flags, need_end):  # type: ignore[no-untyped-def]
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
            fate, size = judge(data, lo, hi, flags, need_end, buffer)
            if fate == KEPT:
                out[d, C4_KEPT] += 1
                out[d, C4_SENTENCES] += sentences_in(buffer, size, flags)
            elif fate == HAS_LOREM:
                out[d, C4_LOREM] += 1
            elif fate == HAS_CURLY:
                out[d, C4_CURLY] += 1
    return out


@njit(cache=True)
def c4_fates(data, flags, need_end):  # type: ignore[no-untyped-def]
    """Rows of (start, end, fate) for the stripped lines of one text, in bytes."""
    spans, n = cut(data, 0, len(data), flags, SPLITLINES, np.empty(4096, np.int64))
    out = np.empty((n, 3), np.int64)
    buffer = np.empty(max(len(data), 1), np.uint8)
    for s in range(n):
        lo, hi = strip(data, spans[2 * s], spans[2 * s + 1], flags)
        fate, _ = judge(data, lo, hi, flags, need_end, buffer)
        out[s] = lo, hi, fate
    return out
