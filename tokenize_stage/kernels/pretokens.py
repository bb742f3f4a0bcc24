"""Pre-tokens: where the split rules of byte-level BPE tokenizers cut a text, without a regular-expression engine.

A rule is a handful of numbers (see `Rule`), and every byte string is read as UTF-8 with the classes of a table of code
points; bytes that are no valid UTF-8 count as marks of one byte. Most pre-tokens are a blank and ASCII letters: they are
found eight bytes at a time (classes of eight bytes by arithmetic without carries, Lamport 1975).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import load8
from pipeline.text.kernels.split import CASE, FROM_A, HIGH, ONES, PAST_Z, SEVEN

# Bits of the table of classes
LETTER, NUMBER, SPACE, UPPER, LOWER, BREAK, DENSE, SCRIPTIO = (1 << i for i in range(8))
# UPPER: Lu Lt Lm Lo M; LOWER: Ll Lm Lo M; BREAK: line feed, carriage return; DENSE: Han, kana; SCRIPTIO: Thai, Lao, Khmer, Burmese

# Families of rules
GPT2, CL100K, O200K = 0, 1, 2
# Places of a rule's numbers
FAMILY, DIGITS, MARKS_TAKE_BREAKS, INDENT, DENSE_RUN, SCRIPTIO_RUN = range(6)

U0, U1, U2, U3, U7, U8 = (np.uint64(n) for n in (0, 1, 2, 3, 7, 8))
U_BYTE = np.uint64(0xFF)
PIECES = 1024  # pre-tokens that are found in one go
LONG_S = 0x17F  # the one letter beyond ASCII that equals a letter of a contraction when case is ignored


@njit(cache=True, inline="always")
def class_at(data, i, end, classes):
    """(class, bytes) of the character at byte i; (0, 1) for a byte that begins none."""
    a = np.uint32(data[i])
    if a < np.uint32(0x80):
        return classes[a], U1
    return _wide_class(data, i, end, classes)


@njit(cache=True)
def _wide_class(data, i, end, classes):
    """As `class_at`, beyond ASCII.

    It decodes by itself: these bytes need not be valid UTF-8, and with `code_at` behind the checks texts in wide scripts encoded
    15 % slower.
    """
    a = np.uint32(data[i])
    if a < np.uint32(0xC2) or a > np.uint32(0xF4):
        return np.uint8(0), U1
    size = U2 if a < np.uint32(0xE0) else U3 if a < np.uint32(0xF0) else np.uint64(4)
    if i + size > end:
        return np.uint8(0), U1
    code = a & np.uint32(0x1F if size == U2 else 0x0F if size == U3 else 0x07)
    for k in range(1, size):
        b = np.uint32(data[i + np.uint64(k)])
        if b & np.uint32(0xC0) != np.uint32(0x80):
            return np.uint8(0), U1
        code = (code << np.uint32(6)) | (b & np.uint32(0x3F))
    if size == U3:
        if code < np.uint32(0x800) or np.uint32(0xD800) <= code < np.uint32(0xE000):
            return np.uint8(0), U1
    elif size > U3 and (code < np.uint32(0x10000) or code > np.uint32(0x10FFFF)):
        return np.uint8(0), U1
    return classes[code], size


@njit(cache=True, inline="always")
def _letters(data, i, end, case):
    """Place of the first byte from i on that is no ASCII letter; with 0 as `case` instead of CASE no small one."""
    while i + U8 <= end:
        block = load8(data, i)
        low = (block & SEVEN) | case
        stops = ~((low + FROM_A) & ~(low + PAST_Z) & ~block) & HIGH
        if stops != U0:
            lowest = stops & (~stops + U1)
            return i + (((((lowest >> U7) - U1) & ONES) * ONES) >> np.uint64(56))
        i += U8
    while i < end:
        b = data[i] | np.uint8(case & U_BYTE)
        if b < np.uint8(97) or b > np.uint8(122):
            break
        i += U1
    return i


@njit(cache=True)
def _run(data, i, end, classes, wanted, refused):
    """End of the characters from i on that have a bit of `wanted` and none of `refused`."""
    while i < end:
        c, n = class_at(data, i, end, classes)
        if not c & wanted or c & refused:
            break
        i += n
    return i


@njit(cache=True)
def _others(data, i, end, classes):
    """End of the characters from i on that are neither white space nor letters nor numbers."""
    stops = np.uint8(SPACE | LETTER | NUMBER)
    while i < end:
        c, n = class_at(data, i, end, classes)
        if c & stops:
            break
        i += n
    return i


@njit(cache=True)
def _few(data, i, end, classes, wanted, most):
    """End of at most `most` characters from i on that have a bit of `wanted`; 0 for no limit."""
    count = 0
    while i < end:
        c, n = class_at(data, i, end, classes)
        if not c & wanted:
            break
        i += n
        count += 1
        if count == most:
            break
    return i


@njit(cache=True)
def _contraction(data, i, end, fold):
    """Bytes of one of 's 't 're 've 'm 'll 'd at i, 0 for none; whatever the case if `fold`."""
    if i + U1 >= end or data[i] != 39:
        return U0
    a = data[i + U1]
    if fold:
        if a == 0xC5 and i + U2 < end and data[i + U2] == 0xBF:  # LONG_S
            return U3
        if np.uint8(65) <= a <= np.uint8(90):
            a |= np.uint8(0x20)
    if a == 115 or a == 116 or a == 109 or a == 100:
        return U2
    if i + U2 >= end:
        return U0
    b = data[i + U2]
    if fold and np.uint8(65) <= b <= np.uint8(90):
        b |= np.uint8(0x20)
    if (a == 114 and b == 101) or (a == 118 and b == 101) or (a == 108 and b == 108):
        return U3
    return U0


@njit(cache=True)
def _blank_end(data, i, end, classes, breaks, indent):
    """`\\s*[\\r\\n]+` (if `breaks`; with `[ \\t]*` behind it if `indent`), `\\s+(?!\\S)`, `\\s+`, in this order."""
    j, last, line = i, i, i
    while j < end:
        c, n = class_at(data, j, end, classes)
        if not c & np.uint8(SPACE):
            break
        last = j
        j += n
        if c & np.uint8(BREAK):
            line = j
    if breaks and line > i:
        if indent:
            while line < end and (data[line] == 32 or data[line] == 9):
                line += U1
        return line
    return j if j == end or last == i else last


@njit(cache=True)
def _cased_word(data, i, end, classes, whole):
    """End of o200k's word at i, i for none: `[U]*[W]+`, or if `whole` `[U]+[W]*`, each with a contraction behind it."""
    upper, lower = np.uint8(UPPER), np.uint8(LOWER)
    j, both = i, i  # `both`: behind the last character of the run that is of either case
    while j < end:
        c, n = class_at(data, j, end, classes)
        if not c & upper:
            break
        j += n
        if c & lower:
            both = j
    stop = j
    while j < end:
        c, n = class_at(data, j, end, classes)
        if not c & lower:
            break
        j += n
    if j == stop and not whole:  # nothing but capitals ends the run: give back what must not be in `[W]+`
        j = both
    return j + _contraction(data, j, end, True) if j > i else i


@njit(cache=True)
def pretoken_end(data, i, end, classes, rule):
    """Where the pre-token that begins at byte i of data[:end] ends. i < end, both uint64; `rule`: int64 numbers."""
    first = data[i]
    family = rule[FAMILY]
    c, n = class_at(data, i, end, classes)
    letter, number, space = np.uint8(LETTER), np.uint8(NUMBER), np.uint8(SPACE)
    if family == GPT2:
        k = _contraction(data, i, end, False)
        if k:
            return i + k
        j = i + U1 if first == 32 else i
        if j < end:
            c, n = class_at(data, j, end, classes)
            if c & letter:
                return _run(data, j, end, classes, letter, np.uint8(0))
            if c & number:
                return _run(data, j, end, classes, number, np.uint8(0))
            if not c & space:
                return _others(data, j, end, classes)
        return _blank_end(data, i, end, classes, False, False)
    dense = np.uint8(0)
    if rule[DENSE_RUN]:
        dense = np.uint8(DENSE | SCRIPTIO)
        if c & np.uint8(DENSE):
            return _few(data, i, end, classes, np.uint8(DENSE), rule[DENSE_RUN])
        if c & np.uint8(SCRIPTIO):
            return _few(data, i, end, classes, np.uint8(SCRIPTIO), rule[SCRIPTIO_RUN])
    prefix = not c & np.uint8(LETTER | NUMBER | BREAK)  # `[^\r\n\p{L}\p{N}]?`
    if family == CL100K:
        k = _contraction(data, i, end, True)
        if k:
            return i + k
        if c & letter:
            return _run(data, i, end, classes, letter, dense)
        if prefix and i + n < end:
            j = _run(data, i + n, end, classes, letter, dense)
            if j > i + n:
                return j
    else:
        for whole in (False, True):
            if prefix and i + n < end:
                j = _cased_word(data, i + n, end, classes, whole)
                if j > i + n:
                    return j
            if c & np.uint8(UPPER | LOWER):
                j = _cased_word(data, i, end, classes, whole)
                if j > i:
                    return j
    if c & number:
        return _few(data, i, end, classes, number, rule[DIGITS])
    j = i + U1 if first == 32 else i
    if j < end:
        c, n = class_at(data, j, end, classes)
        if not c & np.uint8(SPACE | LETTER | NUMBER):
            j = _others(data, j, end, classes)
            if rule[MARKS_TAKE_BREAKS]:
                slash = family == O200K
                while j < end and (data[j] == 10 or data[j] == 13 or (slash and data[j] == 47)):
                    j += U1
            return j
    return _blank_end(data, i, end, classes, True, rule[INDENT] != 0)


@njit(cache=True)
def split_some(data, i, end, classes, rule, out):
    """Fill `out` (uint64) with the ends of the pre-tokens of data[i:end]; returns (how many, where it stopped).

    What is ASCII and common is decided here: a blank or a mark with a word, numbers, runs of marks, single line ends. The
    rest, and whatever touches other characters, is left to `pretoken_end`.
    """
    family, digits, marks_take = rule[FAMILY], rule[DIGITS], rule[MARKS_TAKE_BREAKS]
    letter, number, space = np.uint8(LETTER), np.uint8(NUMBER), np.uint8(SPACE)
    low = np.uint8(0x80)
    n, room = 0, len(out)
    while i < end and n < room:
        first = data[i]
        k = i + U1 if first == 32 else i
        j = i  # the end, once it is known to be behind i
        if k < end and data[k] < low:
            kind = classes[data[k]]
            if not kind & np.uint8(LETTER | NUMBER | SPACE) and family != GPT2 and k == i and k + U1 < end:
                after = data[k + U1]
                if after < low and classes[after] & letter and first != 39:  # a mark and a word
                    k += U1
                    kind = letter
            if kind & letter:
                if family != O200K:
                    stop = _letters(data, k + U1, end, CASE)
                    if stop == end or data[stop] < low:
                        j = stop
                else:
                    capital = data[k] < np.uint8(97)
                    stop = _letters(data, k + U1, end, U0)
                    if stop == end or (
                        data[stop] < low
                        and data[stop] != 39
                        and not (capital and stop == k + U1 and classes[data[stop]] & letter)
                    ):
                        j = stop
            elif kind & number:
                if family == GPT2:
                    stop = k + U1
                    while stop < end and np.uint8(48) <= data[stop] <= np.uint8(57):
                        stop += U1
                    if stop == end or data[stop] < low:
                        j = stop
                elif k > i:
                    j = k
                else:
                    stop = k + U1
                    most = k + np.uint64(digits)
                    while stop < end and stop < most and np.uint8(48) <= data[stop] <= np.uint8(57):
                        stop += U1
                    if stop >= min(end, most) or data[stop] < low:
                        j = stop
            elif kind & space:
                if k == i and first == 10 and k + U1 < end:
                    after = data[k + U1]
                    if after < low and not classes[after] & space:
                        j = k + U1
            elif not (k == i and first == 39) and not (
                family != GPT2 and k == i and k + U1 < end and data[k + U1] >= low
            ):
                stop = k + U1
                while stop < end and data[stop] < low and not classes[data[stop]] & np.uint8(LETTER | NUMBER | SPACE):
                    stop += U1
                if stop == end or data[stop] < low:
                    if marks_take:
                        while stop < end and (
                            data[stop] == 10 or data[stop] == 13 or (family == O200K and data[stop] == 47)
                        ):
                            stop += U1
                    j = stop
        i = j if j > i else pretoken_end(data, i, end, classes, rule)
        out[n] = i
        n += 1
    return n, i


@njit(cache=True)
def pretoken_ends(data, classes, rule):
    """Ends of all pre-tokens of one text, uint64."""
    out = np.empty(len(data), np.uint64)
    count, _ = split_some(data, U0, np.uint64(len(data)), classes, rule, out)
    return out[:count]
