"""Statistics of the text of every block, and its words as indices into the table of text weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.extract.fast.kernels.compiling import part
from pipeline.extract.fast.kernels.elements import B
from pipeline.extract.fast.kernels.markup import LINE_FEED, OFFSET, SPACE
from pipeline.extract.fast.kernels.words import (
    IDEOGRAPH,
    IDEOGRAPH_UNITS,
    LETTER,
    MAX_WORD,
    SYLLABLE_UNITS,
    char_at,
    is_digit,
    is_upper,
    kind_of,
    mix,
    word_at,
    words_of,
)

TEXT_BITS = 18  # of an index into the table of text weights
MAX_TEXT_TOKENS, MAX_PAIRS = 64, 24  # words of a block that are looked at; of them, those that are also taken in pairs
MAX_TITLE_WORDS = 64


class StatisticColumns(NamedTuple):
    """Columns of the text statistics (float64). Counts are of characters unless they say otherwise."""

    units: int  # words, with characters of scripts without spaces counted as a part of one
    chars: int
    upper: int  # words that begin with a capital
    digits: int
    terminal: int  # full stops, question and exclamation marks
    comma: int  # commas, colons, semicolons
    symbol: int  # all others that are neither letters nor quotation marks nor space
    ends: int  # 1 the text ends as a sentence does, 2 with a colon, 0 otherwise
    first: int  # begins with: 1 a capital or a script without case, 2 another letter, 3 a digit, 0 there is no word
    longest: int  # characters of the longest word
    lines: int  # line breaks
    title: int  # share of its words that the page's title has
    cover: int  # share of the title's words that it has
    hash: int  # 52 bits over its words: exact in a float64
    link: int  # share of its bytes in links
    words: int  # words of scripts with spaces
    currency: int
    separator: int  # bars, slashes, arrows, bullets: what menus and breadcrumbs have between entries


S = StatisticColumns(*range(18))


@part
def _is_terminal(cp):
    return cp in (46, 33, 63, 0x3002, 0xFF01, 0xFF1F, 0x0964, 0x061F, 0x06D4, 0x2026)


@part
def _is_comma(cp):
    return cp in (44, 59, 58, 0x3001, 0xFF0C, 0x060C, 0xFF1A, 0xFF1B)


@part
def _is_separator(cp):
    return cp in (124, 47, 62, 0xBB, 0xAB, 0x203A, 0x2039, 0x2022, 0xB7, 0x2192, 0x2190, 0x25B6, 43)


@part
def _is_currency(cp):
    return cp in (36, 0xA3, 0xA5, 0x20AC, 0x20B9, 0x20BD, 0x20A9)


@part
def _count_mark(s, cp):
    """Count a character that is in no word."""
    if cp == LINE_FEED:
        s[S.lines] += 1
    elif _is_terminal(cp):
        s[S.terminal] += 1
    elif _is_comma(cp):
        s[S.comma] += 1
    elif cp != SPACE and cp != 39 and cp != 0x2019 and cp != 34:
        s[S.symbol] += 1
        if _is_currency(cp):
            s[S.currency] += 1
        elif _is_separator(cp):
            s[S.separator] += 1


@part
def _ending(last):
    """What the last character says of a text: 1 for the end of a sentence, a quotation or a bracket, 2 for a colon."""
    if _is_terminal(last) or last in (34, 0x201D, 41, 0x300D):
        return 1
    return 2 if last == 58 or last == 0xFF1A else 0


@part
def _place(words, word):
    for k in range(len(words)):
        if words[k] == word:
            return k
    return -1


@part
def _block_statistics(text, start, end, titles, s, tokens, n):
    """Fill in the row s for text[start:end] and add its tokens from tokens[n] on; returns the new n."""
    mask = np.uint64((1 << TEXT_BITS) - 1)
    units, chars, words, upper, digits, longest, first = 0.0, 0, 0, 0, 0, 0, 0
    hits, covered = 0, np.uint64(0)
    whole, previous = OFFSET, np.uint64(0)
    last = np.int64(0)
    n_words, goes_on = 0, False  # words taken as tokens; whether the word before was cut
    i = start
    while i < end:
        cp, step = char_at(text, i, end)
        kind = kind_of(cp)
        if kind == LETTER:
            if not goes_on:
                upper += is_upper(cp)
                if first == 0:
                    first = 1 if is_upper(cp) else (3 if is_digit(cp) else 2)
            i, word, length, more_digits, last = word_at(text, i, end, goes_on)
            goes_on = length == MAX_WORD
            chars += length
            digits += more_digits
            words += 1
            units += 1.0
            longest = max(longest, length)
            k = _place(titles, word)
            if k >= 0:
                hits += 1
                covered |= np.uint64(1) << np.uint64(k)
            whole = mix(whole, word)
            if n_words < MAX_TEXT_TOKENS:
                tokens[n] = np.int32(mix(word, np.uint64(1)) & mask)
                n += 1
                n_words += 1
                if n_words < MAX_PAIRS:
                    tokens[n] = np.int32(mix(word, previous) & mask)
                    n += 1
            previous = word
            continue
        goes_on = False
        i += step
        chars += 1
        if cp > SPACE:
            last = cp
        if kind >= IDEOGRAPH:
            units += IDEOGRAPH_UNITS if kind == IDEOGRAPH else SYLLABLE_UNITS
            first = first if first else 1
            word = mix(OFFSET, np.uint64(cp))
            whole = mix(whole, word)
            if n_words < MAX_TEXT_TOKENS:
                tokens[n] = np.int32(mix(word, previous) & mask)
                n += 1
                n_words += 1
            previous = word
        else:
            _count_mark(s, cp)
    s[S.units], s[S.chars], s[S.words], s[S.upper], s[S.digits] = units, chars, words, upper, digits
    s[S.ends], s[S.first], s[S.longest] = _ending(last), first, longest
    n_covered = 0
    for k in range(len(titles)):
        if (covered >> np.uint64(k)) & np.uint64(1):
            n_covered += 1
    s[S.title] = hits / words if words else 0.0
    s[S.cover] = n_covered / len(titles) if len(titles) else 0.0
    s[S.hash] = np.float64(whole >> np.uint64(12))
    return n


@njit(cache=True)
def text_statistics(blocks, text, title):
    """Statistics and text tokens of every block.

    Args:
        blocks, text: as `scan` gave them.
        title: UTF-8 bytes of the page's title.

    Returns: (float64 (m, 18) with columns S, token indices int32, offsets int32 (m + 1)); tokens index a table of
        2**TEXT_BITS.
    """
    m = len(blocks)
    stats = np.zeros((m, len(S)), np.float64)
    tokens, n = np.zeros(1024, np.int32), 0
    offsets = np.zeros(m + 1, np.int32)
    titles = words_of(title, MAX_TITLE_WORDS)
    for b in range(m):
        if n + 2 * MAX_TEXT_TOKENS > len(tokens):
            grown = np.zeros(len(tokens) * 2, np.int32)
            grown[:n] = tokens[:n]
            tokens = grown
        start, end = blocks[b, B.start], blocks[b, B.end]
        n = _block_statistics(text, start, end, titles, stats[b], tokens, n)
        offsets[b + 1] = n
        stats[b, S.link] = min(1.0, blocks[b, B.link_bytes] / (end - start))
    return stats, tokens[:n].copy(), offsets
