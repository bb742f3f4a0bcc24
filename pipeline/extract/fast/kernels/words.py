"""Words of a block: the characters they are made of, where they end, their hashes.

Nothing here knows a language. A word is a run of letters and digits; scripts written without spaces count by character
(a Chinese or Japanese character as 0.6 words, a Thai, Lao or Khmer one as 0.2), so that lengths mean the same in all.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.markup import OFFSET, add_to_hash, lower

OTHER, LETTER, IDEOGRAPH, SYLLABLE = range(4)  # kinds of characters; letters include digits
IDEOGRAPH_UNITS, SYLLABLE_UNITS = 0.6, 0.2  # words that a character is worth
MAX_WORD = 200  # characters; what is longer is cut


@part
def char_at(data, i, end):
    """(code point, bytes) of the character at i; bytes that are no UTF-8 are U+FFFD each. Reads nothing from `end` on."""
    c = np.int64(data[i])
    if c < 128:
        return c, 1
    if c >= 0xF0 and i + 3 < end:
        return ((c & 7) << 18) | ((data[i + 1] & 63) << 12) | ((data[i + 2] & 63) << 6) | (data[i + 3] & 63), 4
    if c >= 0xE0 and i + 2 < end:
        return ((c & 15) << 12) | ((data[i + 1] & 63) << 6) | (data[i + 2] & 63), 3
    if c >= 0xC0 and i + 1 < end:
        return ((c & 31) << 6) | (data[i + 1] & 63), 2
    return np.int64(0xFFFD), 1


@part
def kind_of(cp):
    """OTHER, LETTER, IDEOGRAPH (and kana, hangul), SYLLABLE (of Thai, Lao, Khmer, Burmese)."""
    if cp < 128:
        return LETTER if 48 <= cp <= 57 or 65 <= cp <= 90 or 97 <= cp <= 122 or cp == 95 else OTHER
    if cp < 0xC0:
        return LETTER if cp == 0xAA or cp == 0xB5 or cp == 0xBA else OTHER
    if cp == 0xD7 or cp == 0xF7 or 0x2000 <= cp <= 0x2BFF or 0x2E00 <= cp <= 0x2E7F:
        return OTHER
    if 0x0E00 <= cp <= 0x0EFF or 0x1780 <= cp <= 0x17FF or 0x1000 <= cp <= 0x109F:
        return SYLLABLE
    if 0x3000 <= cp <= 0x3004 or 0x3008 <= cp <= 0x3020 or 0xFE30 <= cp <= 0xFE4F or 0xFF00 <= cp <= 0xFF0F:
        return OTHER
    if 0xFF1A <= cp <= 0xFF20 or 0xFF3B <= cp <= 0xFF40 or 0xFF5B <= cp <= 0xFF65 or cp == 0xFFFD or cp == 0xFEFF:
        return OTHER
    if 0xE000 <= cp <= 0xF8FF:
        return OTHER  # private use: icon fonts
    if 0x2E80 <= cp <= 0x9FFF and not 0x3130 <= cp <= 0x318F:
        return IDEOGRAPH
    if 0xF900 <= cp <= 0xFAFF or 0x20000 <= cp <= 0x3FFFF:
        return IDEOGRAPH
    if 0x1F000 <= cp <= 0x1FAFF:
        return OTHER
    return LETTER


@part
def is_digit(cp):
    return 48 <= cp <= 57


@part
def is_upper(cp):
    """Latin, Cyrillic and Greek capitals."""
    return 65 <= cp <= 90 or 0xC0 <= cp <= 0xDE or 0x410 <= cp <= 0x42F or 0x391 <= cp <= 0x3A9


@part
def word_at(data, i, end, goes_on):
    """The word that begins with the letter at i, letter case of ASCII folded.

    Args:
        goes_on: whether the word before was cut right here; then the first letter counts and is left out of the hash.

    Returns: (place after it, hash, length in characters, digits, last character).
    """
    h, length, digits, last = OFFSET, 0, 0, np.int64(0)
    if goes_on:
        last, step = char_at(data, i, end)
        i += step
        length = 1
    while i < end and length < MAX_WORD:
        cp, step = char_at(data, i, end)
        if kind_of(cp) != LETTER:
            break
        h = add_to_hash(h, lower(cp))
        digits += is_digit(cp)
        length += 1
        last = cp
        i += step
    return i, h, length, digits, last


@part
def mix(h, k):
    """Combine two hashes, with the finaliser of MurmurHash3 (Appleby, public domain)."""
    x = (h ^ (k * np.uint64(0x9E3779B97F4A7C15))) & np.uint64(0xFFFFFFFFFFFFFFFF)
    x ^= x >> np.uint64(33)
    x = x * np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    return x


@njit(cache=True)
def words_of(data, most):
    """Hashes of the first words of a text, at most `most` of them; only of scripts that are written with spaces."""
    words = np.zeros(most, np.uint64)
    n, i, end, goes_on = 0, 0, len(data), False
    while i < end and n < most:
        cp, step = char_at(data, i, end)
        if kind_of(cp) == LETTER:
            i, words[n], length, _, _ = word_at(data, i, end, goes_on)
            n += 1
            goes_on = length == MAX_WORD
        else:
            i += step
            goes_on = False
    return words[:n]
