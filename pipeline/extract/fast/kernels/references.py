"""Character references (&amp; &#8364;) and the UTF-8 of what they stand for."""

from __future__ import annotations

import numpy as np

from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.markup import OFFSET, SEMICOLON, add_to_hash, is_letter, lower
from pipeline.text.kernels.tables import find_number

_HASH, _X = ord("#"), ord("x")
_LAST, _UNKNOWN = 0x10FFFF, 0xFFFD
MAX_NAME, MAX_BARE_NAME = 32, 6  # letters of a name; of one that needs no ';'

# Windows-1252 for the references &#128; to &#159;, as the HTML standard has it.
_C1 = np.array(
    [0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D,
     0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,
     0x017E, 0x0178], np.int32,
)  # fmt: skip


@part
def put_codepoint(out, at, cp):
    """UTF-8 of a code point; the replacement character for what has none."""
    if cp == 0 or cp > _LAST or 0xD800 <= cp <= 0xDFFF:
        cp = _UNKNOWN
    if cp < 0x80:
        out[at] = cp
        return at + 1
    if cp < 0x800:
        out[at] = 0xC0 | (cp >> 6)
        out[at + 1] = 0x80 | (cp & 63)
        return at + 2
    if cp < 0x10000:
        out[at] = 0xE0 | (cp >> 12)
        out[at + 1] = 0x80 | ((cp >> 6) & 63)
        out[at + 2] = 0x80 | (cp & 63)
        return at + 3
    out[at] = 0xF0 | (cp >> 18)
    out[at + 1] = 0x80 | ((cp >> 12) & 63)
    out[at + 2] = 0x80 | ((cp >> 6) & 63)
    out[at + 3] = 0x80 | (cp & 63)
    return at + 4


@part
def _numeric(buf, i, end, out, at):
    """The reference whose '&#' stands at i: (next i, next at), i unchanged if no number follows."""
    j = i + 2
    base = 10
    if j < end and lower(buf[j]) == _X:
        base = 16
        j += 1
    first = j
    cp = np.int64(0)
    while j < end:
        c = lower(buf[j])
        if 48 <= c <= 57:
            digit = c - 48
        elif base == 16 and 97 <= c <= 102:
            digit = c - 87
        else:
            break
        if cp <= _LAST:  # more digits make it no smaller
            cp = cp * base + digit
        j += 1
    if j == first:
        return i, at
    if j < end and buf[j] == SEMICOLON:
        j += 1
    if 128 <= cp <= 159:
        cp = np.int64(_C1[cp - 128])
    return j, put_codepoint(out, at, cp)


@part
def put_reference(buf, i, end, out, at, references):
    """Decode the reference at buf[i] == '&' into out[at:].

    Of names that are beginnings of one another the longest counts. Returns: (next i, next at), i unchanged if it is none.
    """
    j = i + 1
    if j < end and buf[j] == _HASH:
        return _numeric(buf, i, end, out, at)
    h = OFFSET
    found, found_end = np.int32(-1), j
    while j < end and j - i <= MAX_NAME + 1:
        c = buf[j]
        if not (is_letter(c) or 48 <= c <= 57):
            break
        h = add_to_hash(h, c)
        j += 1
        if j - i <= MAX_BARE_NAME + 1:
            k = find_number(references.names.table, references.names.numbers, h)
            if k >= 0:
                found, found_end = k, j
    if j < end and buf[j] == SEMICOLON:
        k = find_number(references.names.table, references.names.numbers, add_to_hash(h, SEMICOLON))
        if k >= 0:
            found, found_end = k, j + 1
    if found < 0:
        return i, at
    for k in range(references.offsets[found], references.offsets[found + 1]):
        out[at] = references.text[k]
        at += 1
    return found_end, at
