"""What kind each character is, as two tables that kernels index by code point.

`flags` holds the classes below as bits; `fold` maps a character to its simple lower case, and the typographic
apostrophe and hyphen to the plain ones. Both come from the Unicode data of the running Python and cover the planes
in use (code points below 0x40000); what lies above has no class and folds to itself.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import regex

TABLE_SIZE = 0x40000

SPACE = 1  # str.isspace
WORD = 2  # `\w` of the `re` module: letters, digits, underscore
ALNUM = 4  # str.isalnum
CONTINUES = 8  # combining marks and zero-width joiners: part of a word, never its start
ALPHA = 16  # str.isalpha
DIGIT = 32  # `\d` of the `re` module
UPPER = 64  # str.isupper
SYMBOL = 128  # CCNET_PUNCTUATION or TERMINAL: a token of nothing else is no word for datatrove
BREAK = 256  # ends a line for str.splitlines
DENSE = 512  # scripts written without spaces between words
TERMINAL = 1024  # ends a sentence: Unicode property Sentence_Terminal as datatrove lists it
LINK = 2048  # joins two parts of a word: apostrophe, hyphen

# The punctuation that cc_net (Wenzek et al. 2020, text_normalizer) and, after it, datatrove take out, with the
# control characters 0-8, 11-31 and 127-159.
CCNET_PUNCTUATION = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
_CONTROLS = (*range(9), *range(11, 32), *range(127, 160))
_DENSE = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}]"
)
# datatrove's list of terminal punctuation (0.10.1, the one FineWeb's rules use) is the property Sentence_Terminal
# with three Khmer signs besides and without sixteen characters that later versions of Unicode added to it.
_TERMINAL = regex.compile(
    r"[[\p{Sentence_Terminal}\u17d6\u17d9\u17da]--[\U000113d4\U000113d5\U00016d6e\U00016d6f\u1b4e\u1b4f\u1b7f\u2024"
    r"\u2cf9-\u2cfb\u2e60\u2e61\ufe12\ufe15\ufe16]]",
    regex.V1,
)
_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@cache
def char_tables() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    """(flags, fold), each of TABLE_SIZE entries."""
    flags = np.zeros(TABLE_SIZE, np.uint16)
    fold = np.arange(TABLE_SIZE, dtype=np.uint32)
    for code in range(TABLE_SIZE):
        if 0xD800 <= code < 0xE000:
            continue
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Cn" or category == "Co":
            continue
        bits = 0
        if char.isalnum():
            bits |= ALNUM | WORD
            if char.isalpha():
                bits |= ALPHA
                if char.isupper():
                    bits |= UPPER
            if char.isdecimal():
                bits |= DIGIT
        elif category[0] == "M":
            bits |= CONTINUES
        elif char.isspace():
            bits |= SPACE
        flags[code] = bits
        lower = char.lower()
        if len(lower) == 1:
            fold[code] = ord(lower)
    flags[ord("_")] |= WORD
    for char in "\u200c\u200d":
        flags[ord(char)] |= CONTINUES
    for char in "'’-‐":
        flags[ord(char)] |= LINK
    fold[ord("’")], fold[ord("‐")], fold[ord("ς")] = ord("'"), ord("-"), ord("σ")
    for char in _BREAKS:
        flags[ord(char)] |= BREAK
    every = "".join(chr(c) for c in range(TABLE_SIZE) if not 0xD800 <= c < 0xE000)
    for found, bit in ((_DENSE, DENSE), (_TERMINAL, TERMINAL)):
        for m in found.finditer(every):
            flags[ord(m[0])] |= bit
    flags[list(map(ord, CCNET_PUNCTUATION))] |= SYMBOL
    flags[list(_CONTROLS)] |= SYMBOL
    flags[(flags & TERMINAL) > 0] |= SYMBOL
    flags.setflags(write=False)
    fold.setflags(write=False)
    return flags, fold


# Bits of `kinds`: what the word splitter asks of a character, in one byte
K_WORD, K_ALNUM, K_INNER, K_ALPHA, K_NOT_UPPER, K_NON_SYMBOL, K_SPACE, K_LINK = (1 << i for i in range(8))


@cache
def kind_table() -> npt.NDArray[np.uint8]:
    """The classes that splitting needs: word (`\\w`), letter or digit, those and marks, letter, letter that is not a
    capital, no symbol, white space, link."""
    flags, _ = char_tables()
    kinds = np.zeros(TABLE_SIZE, np.uint8)
    for bit, mask in ((K_WORD, WORD), (K_ALNUM, ALNUM), (K_INNER, ALNUM | CONTINUES), (K_ALPHA, ALPHA),
                      (K_SPACE, SPACE), (K_LINK, LINK)):  # fmt: skip
        kinds[(flags & mask) > 0] |= bit
    kinds[((flags & ALPHA) > 0) & ((flags & UPPER) == 0)] |= K_NOT_UPPER
    kinds[(flags & SYMBOL) == 0] |= K_NON_SYMBOL
    kinds.setflags(write=False)
    return kinds


@cache
def exact_fold() -> npt.NDArray[np.uint32]:
    """A fold table that changes nothing."""
    table = np.arange(TABLE_SIZE, dtype=np.uint32)
    table.setflags(write=False)
    return table
