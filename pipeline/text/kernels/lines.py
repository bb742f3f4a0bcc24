"""Lines and paragraphs of a batch of texts, by the conventions that rule sets use."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import class_of, code_at, find_byte, hash_bytes
from pipeline.text.kernels.chars import BREAK, SPACE, TERMINAL
from pipeline.text.kernels.tables import EMPTY, place_of, room_for

# How a text is cut
SPLITLINES = 0  # as str.splitlines
NEWLINE = 1  # text.split("\n")
NEWLINES = 2  # re.split(r"\n+", text)
BLANK_LINES = 3  # re.split(r"\n{2,}", text.strip())
PARAGRAPHS = 4  # runs of lines with something on them, stripped

BULLETS = np.array([ord(c) for c in "•‣▶◀◦■□▪▫–-*·"], np.int64)


@njit(cache=True)
def odd_breaks(text):
    """Whether a text may have line breaks other than line feeds."""
    found = False
    for b in text:
        found |= (b >= 11 and b <= 13) or (b >= 28 and b <= 30)
    for i in range(len(text) - 1):
        found |= text[i] == 0xC2 and text[i + 1] == 0x85
        found |= text[i] == 0xE2 and text[i + 1] == 0x80 and i + 2 < len(text) and (text[i + 2] | 1) == 0xA9
    return found


@njit(cache=True)
def strip(data, lo, hi, flags):
    """[lo, hi) without white space at both ends."""
    while lo < hi:
        if 32 < data[lo] < 127:
            break
        code, width = code_at(data, lo)
        if not class_of(flags, code) & SPACE:
            break
        lo += width
    while hi > lo:
        i = hi - 1
        if 32 < data[i] < 127:
            break
        while data[i] & 0xC0 == 0x80:
            i -= 1
        code, _ = code_at(data, i)
        if not class_of(flags, code) & SPACE:
            break
        hi = i
    return lo, hi


@njit(cache=True)
def cut(data, lo, hi, flags, how, spans):
    """Cut [lo, hi) into spans; returns (flat array of start, end pairs, number of pairs). The array may be a new one.

    SPLITLINES gives no empty last part, the others follow `split`.
    """
    n = 0
    if how == BLANK_LINES:
        lo, hi = strip(data, lo, hi, flags)
    i = start = lo
    only_feeds = how != SPLITLINES or not odd_breaks(data[lo:hi])
    while i <= hi:
        if only_feeds:
            i = find_byte(data, i, hi, 10)
        if 2 * n + 4 > len(spans):
            grown = np.empty(2 * len(spans), np.int64)
            grown[: 2 * n] = spans[: 2 * n]
            spans = grown
        if i == hi:
            if how == PARAGRAPHS:
                a, b = strip(data, start, hi, flags)
                if a < b:
                    spans[2 * n], spans[2 * n + 1] = a, b
                    n += 1
            elif how != SPLITLINES or start < hi:
                spans[2 * n], spans[2 * n + 1] = start, hi
                n += 1
            break
        byte = data[i]
        if how == SPLITLINES and not only_feeds:
            if byte > 13 and byte < 28:
                i += 1
                continue
            if byte < 0x80:
                if not np.int64(flags[byte]) & BREAK:
                    i += 1
                    continue
                width = 2 if byte == 13 and i + 1 < hi and data[i + 1] == 10 else 1
            else:
                code, width = code_at(data, i)
                if not class_of(flags, code) & BREAK:
                    i += width
                    continue
            spans[2 * n], spans[2 * n + 1] = start, i
            n += 1
            i += width
            start = i
            continue
        j = i + 1
        if how == PARAGRAPHS:
            # a blank line follows when only white space lies before the next newline
            k = j
            while k < hi and data[k] != 10:
                code, width = code_at(data, k)
                if not class_of(flags, code) & SPACE:
                    break
                k += width
            if k < hi and data[k] == 10:
                a, b = strip(data, start, i, flags)
                if a < b:
                    spans[2 * n], spans[2 * n + 1] = a, b
                    n += 1
                start = k
                i = k
                continue
            i = j
            continue
        if how in (NEWLINES, BLANK_LINES):
            while j < hi and data[j] == 10:
                j += 1
            if how == BLANK_LINES and j - i < 2:
                i = j
                continue
        spans[2 * n], spans[2 * n + 1] = start, i
        n += 1
        start = i = j
    return spans, n


@njit(cache=True)
def chars_in(data, lo, hi):
    """Characters of data[lo:hi]."""
    n = 0
    for b in data[lo:hi]:
        n += (b & 0xC0) != 0x80
    return n


@njit(cache=True)
def ends_with_ellipsis(data, lo, hi):
    """Whether data[lo:hi] ends with '...' or '…'."""
    if hi - lo < 3:
        return False
    a, b, c = data[hi - 3], data[hi - 2], data[hi - 1]
    return (a == 46 and b == 46 and c == 46) or (a == 0xE2 and b == 0x80 and c == 0xA6)


@njit(cache=True)
def last_code(data, lo, hi):
    """Code point of the last character of data[lo:hi], -1 if there is none."""
    if hi <= lo:
        return np.int64(-1)
    i = hi - 1
    while data[i] & 0xC0 == 0x80:
        i -= 1
    code, _ = code_at(data, i)
    return code


@njit(cache=True)
def repeats(data, spans, n):
    """(spans that equal an earlier one, their characters)."""
    room = room_for(n, 2)
    keys, numbers = np.empty(room, np.uint64), np.full(room, EMPTY, np.int32)
    count = 0
    chars = 0
    for s in range(n):
        lo, hi = spans[2 * s], spans[2 * s + 1]
        h = hash_bytes(data, lo, hi)
        place = place_of(keys, numbers, h, h)
        if numbers[place] >= 0:
            count += 1
            chars += chars_in(data, lo, hi)
        keys[place], numbers[place] = h, s
    return count, chars


# Columns of `line_counts`
(LINES, BULLET_LINES, ELLIPSIS_LINES, LINE_CHARS, LONGEST_LINE, TERMINAL_LINES, DUP_LINES, DUP_LINE_CHARS, PARAS,
 DUP_PARAS, DUP_PARA_CHARS, PARA_CHARS, LONG_LINES, LINE_COLUMNS) = range(14)  # fmt: skip
LONG_LINE = 200  # characters of a line that mC4 counts as a paragraph


@njit(cache=True)
def line_counts(data, offsets, flags, bullets):
    """Counts over lines with something on them, stripped (str.splitlines), and over paragraphs; one row per text."""
    n_docs = len(offsets) - 1
    out = np.zeros((n_docs, LINE_COLUMNS))
    spans = np.empty(4096, np.int64)
    for d in range(n_docs):
        spans, n = cut(data, offsets[d], offsets[d + 1], flags, SPLITLINES, spans)
        row = out[d]
        m = 0
        for s in range(n):
            lo, hi = strip(data, spans[2 * s], spans[2 * s + 1], flags)
            if lo == hi:
                continue
            spans[2 * m], spans[2 * m + 1] = lo, hi
            m += 1
            c = chars_in(data, lo, hi)
            row[LINE_CHARS] += c
            row[LONGEST_LINE] = max(row[LONGEST_LINE], c)
            row[LONG_LINES] += c >= LONG_LINE
            code, _ = code_at(data, lo)
            for b in bullets:
                if code == b:
                    row[BULLET_LINES] += 1
                    break
            if ends_with_ellipsis(data, lo, hi):
                row[ELLIPSIS_LINES] += 1
            if class_of(flags, last_code(data, lo, hi)) & TERMINAL:
                row[TERMINAL_LINES] += 1
        row[LINES] = m
        row[DUP_LINES], row[DUP_LINE_CHARS] = repeats(data, spans, m)
        spans, n = cut(data, offsets[d], offsets[d + 1], flags, PARAGRAPHS, spans)
        row[PARAS] = n
        for s in range(n):
            row[PARA_CHARS] += chars_in(data, spans[2 * s], spans[2 * s + 1])
        row[DUP_PARAS], row[DUP_PARA_CHARS] = repeats(data, spans, n)
    return out


# Columns of `datatrove_line_counts`
(D_LINES, D_BULLETS, D_ELLIPSES, D_SPLIT_LINES, D_DUP_LINES, D_DUP_LINE_CHARS, D_PARAS, D_DUP_PARAS, D_DUP_PARA_CHARS,
 F_LINES, F_TERMINAL, F_SHORT, F_DUP_CHARS, F_CHARS, D_COLUMNS) = range(15)  # fmt: skip
SHORT_LINE = 30  # characters, FineWeb


@njit(cache=True)
def datatrove_line_counts(data, offsets, flags):
    """The counts behind datatrove's Gopher and FineWeb filters (0.10.1), by its own ways of cutting lines."""
    n_docs = len(offsets) - 1
    out = np.zeros((n_docs, D_COLUMNS))
    spans = np.empty(4096, np.int64)
    for d in range(n_docs):
        lo, hi = offsets[d], offsets[d + 1]
        row = out[d]
        spans, n = cut(data, lo, hi, flags, SPLITLINES, spans)
        row[D_LINES] = n
        for s in range(n):
            a, b = strip(data, spans[2 * s], spans[2 * s + 1], flags)
            if a < b:
                code, _ = code_at(data, a)
                row[D_BULLETS] += code == 45 or code == 0x2022
                row[D_ELLIPSES] += ends_with_ellipsis(data, a, b)
        spans, n = cut(data, lo, hi, flags, NEWLINES, spans)
        row[D_SPLIT_LINES] = n
        row[D_DUP_LINES], row[D_DUP_LINE_CHARS] = repeats(data, spans, n)
        spans, n = cut(data, lo, hi, flags, BLANK_LINES, spans)
        row[D_PARAS] = n
        row[D_DUP_PARAS], row[D_DUP_PARA_CHARS] = repeats(data, spans, n)
        spans, n = cut(data, lo, hi, flags, NEWLINE, spans)
        m = 0
        for s in range(n):
            a, b = spans[2 * s], spans[2 * s + 1]
            row[F_CHARS] += chars_in(data, a, b)
            low, high = strip(data, a, b, flags)
            if low == high:
                continue
            spans[2 * m], spans[2 * m + 1] = a, b
            m += 1
            row[F_TERMINAL] += (class_of(flags, last_code(data, a, b)) & TERMINAL) != 0
            row[F_SHORT] += chars_in(data, a, b) <= SHORT_LINE
        row[F_LINES] = m
        _, row[F_DUP_CHARS] = repeats(data, spans, m)
    return out


# Columns of `repeated_lines`
REPEATED_LINES, ALL_LINES, REPEATED_COLUMNS = range(3)


@njit(cache=True)
def repeated_lines(data, offsets, flags):
    """Lines that occur more than once (every copy), and lines; stripped, empty ones left out; one row per text."""
    n_docs = len(offsets) - 1
    out = np.zeros((n_docs, REPEATED_COLUMNS))
    spans = np.empty(4096, np.int64)
    for d in range(n_docs):
        spans, n = cut(data, offsets[d], offsets[d + 1], flags, SPLITLINES, spans)
        hashes = np.empty(n, np.uint64)
        m = 0
        for s in range(n):
            lo, hi = strip(data, spans[2 * s], spans[2 * s + 1], flags)
            if lo == hi:
                continue
            hashes[m] = hash_bytes(data, lo, hi)
            m += 1
        ordered = np.sort(hashes[:m])
        for i in range(m):
            again = (i > 0 and ordered[i] == ordered[i - 1]) or (i + 1 < m and ordered[i] == ordered[i + 1])
            out[d, REPEATED_LINES] += again
        out[d, ALL_LINES] = m
    return out
