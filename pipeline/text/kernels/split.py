"""Words of a batch of texts.

Texts are UTF-8 in one buffer with offsets, as in Arrow. A split gives flat arrays over all words of the batch (start
byte, bytes, characters, 64-bit hash, attributes), which every further kernel reads.

A word's hash is over the UTF-8 bytes of its folded characters, eight at a time. Most words are ASCII and shorter than
that: they are found, folded and hashed in one step of eight bytes, without a look at single characters (classes of eight
bytes at once by carry-less arithmetic, as in Lamport 1975).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import FNV_PRIME, MIX, SHIFT, class_of, code_at, finish, load8
from pipeline.text.kernels.chars import (
    CONTINUES,
    DENSE,
    K_ALNUM,
    K_ALPHA,
    K_INNER,
    K_LINK,
    K_NON_SYMBOL,
    K_NOT_UPPER,
    K_SPACE,
    K_WORD,
    TABLE_SIZE,
)

HAS_ALPHA = 1
HAS_NON_SYMBOL = 2
ALL_UPPER = 4  # letters, and all of them upper case

U0, U1, U5, U6, U8, U56 = (np.uint64(n) for n in (0, 1, 5, 6, 8, 56))
ONES = np.uint64(0x0101010101010101)
HIGH = np.uint64(0x8080808080808080)
SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
CASE = np.uint64(0x2020202020202020)
# Added to seven-bit bytes, these carry into the high bit from the first and past the last of a range on
FROM_A, PAST_Z = np.uint64(0x1F) * ONES, np.uint64(0x05) * ONES
FROM_0, PAST_9 = np.uint64(0x50) * ONES, np.uint64(0x46) * ONES
GENERAL, LOWER, EXACT = 0, 1, 2  # how a fold table treats ASCII letters and digits


@njit(cache=True)
def dense_runs(data, flags):
    """[start, end) bytes of every run of two or more characters of scripts written without spaces; flat array."""
    out = np.empty(64, np.int64)
    n = 0
    i, end = np.uint64(0), np.uint64(len(data))
    while i < end:
        # all dense scripts lie at U+0E00 and above: three bytes or more, the first of them 0xE0 or above
        while i + U8 <= end:
            block = load8(data, i)
            if block & (block << U1) & (block << np.uint64(2)) & HIGH:
                break
            i += U8
        while i < end and data[i] < 0xE0:
            i += U1
        if i >= end:
            break
        code, size = code_at(data, i)
        if not class_of(flags, code) & DENSE:
            i += np.uint64(size)
            continue
        start = i
        while i < end:
            code, size = code_at(data, i)
            if not class_of(flags, code) & (DENSE | CONTINUES):
                break
            i += np.uint64(size)
        if n + 2 > len(out):
            grown = np.empty(2 * len(out), np.int64)
            grown[:n] = out[:n]
            out = grown
        out[n], out[n + 1] = start, i
        n += 2
    return out[:n]


@njit(cache=True, inline="always")
def stir(h, block):
    """Take eight more bytes into a hash."""
    h = (h ^ block) * MIX
    return h ^ (h >> SHIFT)


@njit(cache=True)
def ascii_fold(fold):
    """How a fold table treats ASCII letters and digits."""
    lower = exact = True
    for c in range(48, 58):
        lower &= fold[c] == c
    exact = lower
    for c in range(65, 91):
        lower &= fold[c] == c + 32 and fold[c + 32] == c + 32
        exact &= fold[c] == c and fold[c + 32] == c + 32
    return LOWER if lower else EXACT if exact else GENERAL


@njit(cache=True)
def split(data, offsets, kinds, fold, cuts, plain):
    """Words of each text.

    Args:
        data, offsets: texts, UTF-8; text d is data[offsets[d]:offsets[d + 1]].
        kinds, fold: tables of `pipeline.text.kernels.chars`; hashes are over folded characters.
        cuts: ascending bytes where a word ends in any case (boundaries inside scripts without spaces).
        plain: True for tokens as `\\w+|[^\\w\\s]` gives them, False for words: letters, digits and marks with inner
            apostrophes and hyphens.

    Returns: (first word of each text and one past the last, start byte, bytes, characters, hash, attributes).
    """
    n_docs = len(offsets) - 1
    first = np.zeros(n_docs + 1, np.int64)
    room = max(1024, len(data) // 4)
    start = np.empty(room, np.int64)
    size = np.empty(room, np.int32)
    chars = np.empty(room, np.int32)
    hashes = np.empty(room, np.uint64)
    attrs = np.empty(room, np.uint8)
    n = 0
    cut = 0
    how = ascii_fold(fold)
    for d in range(n_docs):
        i, end = offsets[d], offsets[d + 1]
        done = False
        while not done:
            # as many words as there is room for; then the arrays grow
            i, n, cut, done = _split_some(
                data, i, end, kinds, fold, how, cuts, cut, plain, start, size, chars, hashes, attrs, n
            )
            if not done:
                room *= 2
                start2, size2, chars2 = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int32)
                hashes2, attrs2 = np.empty(room, np.uint64), np.empty(room, np.uint8)
                start2[:n], size2[:n], chars2[:n] = start[:n], size[:n], chars[:n]
                hashes2[:n], attrs2[:n] = hashes[:n], attrs[:n]
                start, size, chars, hashes, attrs = start2, size2, chars2, hashes2, attrs2
        first[d + 1] = n
    return first, start[:n], size[:n], chars[:n], hashes[:n], attrs[:n]


@njit(cache=True, inline="always")
def _letter_at(data, i, kinds):
    """Whether a letter or digit begins at byte i."""
    byte = data[i]
    if byte < 0x80:
        return (kinds[byte] & np.uint8(K_ALNUM)) != 0
    code, _ = code_at(data, i)
    return code < TABLE_SIZE and (kinds[code] & np.uint8(K_ALNUM)) != 0


@njit(cache=True)
def _split_some(data, at, end, kinds, fold, how, cuts, cut, plain, start, size, chars, hashes, attrs, n):
    """Split data[at:end] until the arrays are full; returns (place, words, cuts passed, whether the end is reached).

    Places are unsigned, so that no index needs a check for being negative.
    """
    i = np.uint64(at)
    stop = np.uint64(end)
    room = len(start)
    wanted = np.uint8(K_WORD if plain else K_ALNUM)
    inner = np.uint8(K_WORD if plain else K_INNER)
    while i < stop:
        byte = data[i]
        if byte < 0x80:
            width = U1
            kind = kinds[byte]
            code = np.uint32(byte)
        else:
            value, length = code_at(data, i)
            width = np.uint64(length)
            code = np.uint32(value)
            kind = kinds[code] if code < TABLE_SIZE else np.uint8(K_NON_SYMBOL)
        if plain:
            if kind & np.uint8(K_SPACE):
                i += width
                continue
        elif not kind & wanted:
            i += width
            continue
        if n == room:
            return np.int64(i), n, cut, False
        begin = i
        limit = stop
        if len(cuts):
            while cut < len(cuts) and cuts[cut] <= np.int64(i):
                cut += 1
            if cut < len(cuts) and cuts[cut] < end:
                limit = np.uint64(cuts[cut])
        h = U0  # of the whole blocks of eight bytes so far
        rest = U0  # the folded bytes after them, `filled` of them
        filled = U0
        count = 0
        any_kind = np.uint8(0)
        not_upper = np.uint8(0)
        goes_on = True
        if how != GENERAL and byte < 0x80 and kind & np.uint8(K_ALNUM):
            letters = small = U0
            while i + U8 <= limit:
                block = load8(data, i)
                low7 = block & SEVEN
                cased = low7 | CASE
                alpha = (cased + FROM_A) & ~(cased + PAST_Z) & ~block & HIGH
                digit = (low7 + FROM_0) & ~(low7 + PAST_9) & ~block & HIGH
                ends = ~(alpha | digit) & HIGH
                folded = block | (alpha >> np.uint64(2)) if how == LOWER else block
                if ends == U0:
                    letters |= alpha
                    small |= alpha & (block << np.uint64(2))
                    h = stir(h, folded)
                    count += 8
                    i += U8
                    continue
                lowest = ends & (~ends + U1)  # high bit of the first byte that is no letter or digit
                inside = (lowest >> np.uint64(7)) - U1  # all bits of the bytes before it
                filled = ((inside & ONES) * ONES) >> U56
                alpha &= inside
                letters |= alpha
                small |= alpha & (block << np.uint64(2))
                rest = folded & inside
                count += int(filled)
                i += filled
                byte = data[i]
                goes_on = byte >= 0x80 or (kinds[byte] & (inner | np.uint8(0 if plain else K_LINK))) != 0
                break
            if count:
                any_kind = np.uint8(K_NON_SYMBOL) | (np.uint8(K_ALPHA) if letters else np.uint8(0))
                not_upper = np.uint8(K_NOT_UPPER) if small else np.uint8(0)
        if count == 0:
            any_kind = kind
            not_upper = kind & np.uint8(K_NOT_UPPER)
            h, rest, filled = take(fold[code] if code < TABLE_SIZE else code, h, rest, filled)
            count = 1
            i += width
            goes_on = not plain or (kind & wanted) != 0
        if goes_on:
            while i < limit:
                byte = data[i]
                if byte < 0x80:
                    width = U1
                    code = np.uint32(byte)
                    kind = kinds[byte]
                else:
                    value, length = code_at(data, i)
                    width = np.uint64(length)
                    code = np.uint32(value)
                    kind = kinds[code] if code < TABLE_SIZE else np.uint8(K_NON_SYMBOL)
                if not kind & inner:
                    if plain or not kind & np.uint8(K_LINK) or i + width >= limit:
                        break
                    if not _letter_at(data, i + width, kinds):
                        break
                h, rest, filled = take(fold[code] if code < TABLE_SIZE else code, h, rest, filled)
                i += width
                count += 1
                any_kind |= kind
                not_upper |= kind & np.uint8(K_NOT_UPPER)
        start[n] = begin
        size[n] = i - begin
        chars[n] = count
        hashes[n] = finish(stir(h, rest) ^ filled * FNV_PRIME)
        alphabetic = any_kind & np.uint8(K_ALPHA)
        attrs[n] = (
            (HAS_ALPHA if alphabetic else 0)
            | (HAS_NON_SYMBOL if any_kind & np.uint8(K_NON_SYMBOL) else 0)
            | (ALL_UPPER if alphabetic and not not_upper else 0)
        )
        n += 1
    return end, n, cut, True


@njit(cache=True, inline="always")
def take(code, h, rest, filled):
    """Add the UTF-8 bytes of a character to a hash: (h, rest, filled)."""
    c = np.uint64(code)
    if c < np.uint64(0x80):
        return take_byte(c, h, rest, filled)
    if c < np.uint64(0x800):
        h, rest, filled = take_byte(np.uint64(0xC0) | (c >> U6), h, rest, filled)
    elif c < np.uint64(0x10000):
        h, rest, filled = take_byte(np.uint64(0xE0) | (c >> np.uint64(12)), h, rest, filled)
        h, rest, filled = take_byte(np.uint64(0x80) | ((c >> U6) & np.uint64(0x3F)), h, rest, filled)
    else:
        h, rest, filled = take_byte(np.uint64(0xF0) | (c >> np.uint64(18)), h, rest, filled)
        h, rest, filled = take_byte(np.uint64(0x80) | ((c >> np.uint64(12)) & np.uint64(0x3F)), h, rest, filled)
        h, rest, filled = take_byte(np.uint64(0x80) | ((c >> U6) & np.uint64(0x3F)), h, rest, filled)
    return take_byte(np.uint64(0x80) | (c & np.uint64(0x3F)), h, rest, filled)


@njit(cache=True, inline="always")
def take_byte(byte, h, rest, filled):
    rest |= byte << (filled << np.uint64(3))
    filled += U1
    if filled == U8:
        return stir(h, rest), U0, U0
    return h, rest, filled
