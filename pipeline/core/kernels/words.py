"""Words of a batch of texts, and what is counted over them.

Texts are UTF-8 in one buffer with offsets, as in Arrow. A split gives flat arrays over all words of the batch (start
byte, characters, 64-bit hash, attributes), which every further kernel reads. Two words are taken for equal when their
hashes are: with 10^6 different words in a text the chance of any error is 3 in 10^8.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.chars import (
    ALNUM,
    ALPHA,
    CONTINUES,
    DENSE,
    DIGIT,
    K_ALNUM,
    K_ALPHA,
    K_INNER,
    K_LINK,
    K_NON_SYMBOL,
    K_NOT_UPPER,
    K_SPACE,
    K_WORD,
    SPACE,
    TABLE_SIZE,
    UPPER,
)

HAS_ALPHA = 1
HAS_NON_SYMBOL = 2
ALL_UPPER = 4  # letters, and all of them upper case

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(32)
LONGEST = 1024  # words of more characters count as this long for the median


@njit(cache=True, inline="always")
def code_at(data, i):  # type: ignore[no-untyped-def]
    """(code point, bytes) of the character that begins at byte i of valid UTF-8."""
    a = np.int64(data[i])
    if a < 0x80:
        return a, 1
    if a < 0xE0:
        return ((a & 0x1F) << 6) | (np.int64(data[i + 1]) & 0x3F), 2
    if a < 0xF0:
        return ((a & 0x0F) << 12) | ((np.int64(data[i + 1]) & 0x3F) << 6) | (np.int64(data[i + 2]) & 0x3F), 3
    return (
        ((a & 0x07) << 18)
        | ((np.int64(data[i + 1]) & 0x3F) << 12)
        | ((np.int64(data[i + 2]) & 0x3F) << 6)
        | (np.int64(data[i + 3]) & 0x3F),
        4,
    )


@njit(cache=True, inline="always")
def class_of(flags, code):  # type: ignore[no-untyped-def]
    return np.int64(flags[code]) if code < TABLE_SIZE else np.int64(0)


@njit(cache=True, inline="always")
def finish(h):  # type: ignore[no-untyped-def]
    """Spread a hash's entropy over all bits."""
    h ^= h >> SHIFT
    h *= MIX
    return h ^ (h >> SHIFT)


@njit(cache=True)
def dense_runs(data, flags):  # type: ignore[no-untyped-def]
    """[start, end) bytes of every run of two or more characters of scripts written without spaces; flat array."""
    out = np.empty(64, np.int64)
    n = 0
    i, end = 0, len(data)
    while i < end:
        while i < end and data[i] < 0xE0:  # all dense scripts lie at U+0E00 and above: three bytes or more
            i += 1
        if i >= end:
            break
        code, size = code_at(data, i)
        if not class_of(flags, code) & DENSE:
            i += size
            continue
        start, chars = i, 0
        while i < end:
            code, size = code_at(data, i)
            if not class_of(flags, code) & (DENSE | CONTINUES):
                break
            chars += 1
            i += size
        if n + 2 > len(out):
            grown = np.empty(2 * len(out), np.int64)
            grown[:n] = out[:n]
            out = grown
        out[n], out[n + 1] = start, i
        n += 2
    return out[:n]


@njit(cache=True)
def split(data, offsets, kinds, fold, cuts, plain):  # type: ignore[no-untyped-def]
    """Words of each text.

    Args:
        data, offsets: texts, UTF-8; text d is data[offsets[d]:offsets[d + 1]].
        kinds, fold: tables of `pipeline.core.chars`; hashes are over folded characters.
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
    wanted = np.uint8(K_WORD if plain else K_ALNUM)
    inner = np.uint8(K_WORD if plain else K_INNER)
    for d in range(n_docs):
        i, end = offsets[d], offsets[d + 1]
        done = False
        while not done:
            # as many words as there is room for; then the arrays grow
            i, n, cut, done = _split_some(
                data, i, end, kinds, fold, cuts, cut, plain, wanted, inner, start, size, chars, hashes, attrs, n
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


@njit(cache=True)
def _split_some(  # type: ignore[no-untyped-def]
    data, at, end, kinds, fold, cuts, cut, plain, wanted, inner, start, size, chars, hashes, attrs, n
):
    """Split data[at:end] until the arrays are full; returns (place, words, cuts passed, whether the end is reached).

    Places are unsigned, so that no index needs a check for being negative, and ASCII takes a path of its own.
    """
    i = np.uint64(at)
    stop = np.uint64(end)
    one = np.uint64(1)
    room = len(start)
    space = np.uint8(K_SPACE)
    while i < stop:
        byte = data[i]
        if byte < 0x80:
            width = one
            kind = kinds[byte]
            code = np.uint32(byte)
        else:
            value, length = code_at(data, i)
            width = np.uint64(length)
            code = np.uint32(value)
            kind = kinds[code] if code < TABLE_SIZE else np.uint8(K_NON_SYMBOL)
        if plain:
            if kind & space:
                i += width
                continue
        elif not kind & wanted:
            i += width
            continue
        if n == room:
            return np.int64(i), n, cut, False
        begin = i
        any_kind = kind
        not_upper = kind & np.uint8(K_NOT_UPPER)
        h = (FNV_OFFSET ^ np.uint64(fold[code] if code < TABLE_SIZE else code)) * FNV_PRIME
        count = 1
        i += width
        limit = stop
        if len(cuts):
            while cut < len(cuts) and cuts[cut] < np.int64(i):
                cut += 1
            if cut < len(cuts) and cuts[cut] < end:
                limit = np.uint64(cuts[cut])
        if not plain or kind & wanted:
            while i < limit:
                byte = data[i]
                if byte < 0x80:
                    kind = kinds[byte]
                    if not kind & inner:
                        if plain or not kind & np.uint8(K_LINK) or i + one >= limit:
                            break
                        after = data[i + one]
                        if after < 0x80:
                            if not kinds[after] & np.uint8(K_ALNUM):
                                break
                        else:
                            value, _ = code_at(data, i + one)
                            if value >= TABLE_SIZE or not kinds[value] & np.uint8(K_ALNUM):
                                break
                    h = (h ^ np.uint64(fold[byte])) * FNV_PRIME
                    i += one
                else:
                    value, length = code_at(data, i)
                    width = np.uint64(length)
                    kind = kinds[value] if value < TABLE_SIZE else np.uint8(K_NON_SYMBOL)
                    if not kind & inner:
                        if plain or not kind & np.uint8(K_LINK) or i + width >= limit:
                            break
                        after, _ = code_at(data, i + width)
                        if after >= TABLE_SIZE or not kinds[after] & np.uint8(K_ALNUM):
                            break
                    h = (h ^ np.uint64(fold[value] if value < TABLE_SIZE else value)) * FNV_PRIME
                    i += width
                count += 1
                any_kind |= kind
                not_upper |= kind & np.uint8(K_NOT_UPPER)
        start[n] = begin
        size[n] = i - begin
        chars[n] = count
        hashes[n] = finish(h)
        alpha = any_kind & np.uint8(K_ALPHA)
        attrs[n] = (
            (HAS_ALPHA if alpha else 0)
            | (HAS_NON_SYMBOL if any_kind & np.uint8(K_NON_SYMBOL) else 0)
            | (ALL_UPPER if alpha and not not_upper else 0)
        )
        n += 1
    return end, n, cut, True


# Columns of `word_counts`
N_WORDS, SUM_CHARS, MAX_CHARS, MEDIAN_CHARS, N_ALPHA, N_PLAIN, SUM_PLAIN_CHARS, N_UPPER, WORD_COLUMNS = range(9)


@njit(cache=True)
def word_counts(first, chars, attrs):  # type: ignore[no-untyped-def]
    """One row per text: words, their characters (sum, longest, median), words with a letter, words that are not all
    symbols and their characters, words in capitals."""
    n_docs = len(first) - 1
    out = np.zeros((n_docs, WORD_COLUMNS))
    lengths = np.zeros(LONGEST + 1, np.int64)
    for d in range(n_docs):
        lo, hi = first[d], first[d + 1]
        longest = 0
        for i in range(lo, hi):
            c = chars[i]
            longest = max(longest, c)
            lengths[min(c, LONGEST)] += 1
            out[d, SUM_CHARS] += c
            a = attrs[i]
            if a & HAS_ALPHA:
                out[d, N_ALPHA] += 1
            if a & HAS_NON_SYMBOL:
                out[d, N_PLAIN] += 1
                out[d, SUM_PLAIN_CHARS] += c
            if a & ALL_UPPER:
                out[d, N_UPPER] += 1
        out[d, N_WORDS] = hi - lo
        out[d, MAX_CHARS] = longest
        seen, low, high = 0, -1, -1
        for c in range(min(longest, LONGEST) + 1):
            seen += lengths[c]
            if low < 0 and 2 * seen >= hi - lo and seen > 0:
                low = c
            if high < 0 and 2 * seen > hi - lo:
                high = c
            lengths[c] = 0
        out[d, MEDIAN_CHARS] = (low + high) / 2 if hi > lo else 0.0
    return out


@njit(cache=True)
def listed_words(first, hashes, table):  # type: ignore[no-untyped-def]
    """(different words, words) of each text that are in a table of `make_table`."""
    n_docs = len(first) - 1
    out = np.zeros((n_docs, 2))
    mask = len(table) - 1
    mark = np.full(len(table), -1, np.int64)
    for d in range(n_docs):
        for i in range(first[d], first[d + 1]):
            h = hashes[i]
            slot = np.int64(h) & mask
            while table[slot] != 0:
                if table[slot] == h:
                    out[d, 1] += 1
                    if mark[slot] != d:
                        mark[slot] = d
                        out[d, 0] += 1
                    break
                slot = (slot + 1) & mask
    return out


@njit(cache=True)
def make_table(hashes):  # type: ignore[no-untyped-def]
    """An open-addressing table of 64-bit hashes; 0 marks an empty place."""
    room = 8
    while room < 4 * len(hashes) + 1:
        room *= 2
    table = np.zeros(room, np.uint64)
    for h in hashes:
        slot = np.int64(h) & (room - 1)
        while table[slot] != 0 and table[slot] != h:
            slot = (slot + 1) & (room - 1)
        table[slot] = h
    return table


# Columns of `ngram_counts`: for n = 2, 3, 4 the characters of all occurrences of the most frequent n-gram, by two
# conventions; for n = 5..10 the characters in repeated n-grams, by two conventions; then two counts.
TOP = 0
TOP_FIRST = 3
DUP = 6
DUP_SKIP = 12
UNIQUE_WORDS = 18
REPEATED_10 = 19
NGRAM_COLUMNS = 20
DEEPEST = 10


@njit(cache=True)
def ngram_counts(first, chars, hashes):  # type: ignore[no-untyped-def]
    """Repetition of n-grams, one row per text.

    TOP + n - 2: characters of words in all occurrences of the most frequent n-gram, the longest of equally frequent
        ones; 0 when none occurs twice.
    TOP_FIRST + n - 2: the same with one blank between words, the first of equally frequent ones, counted also when
        it occurs once (datatrove).
    DUP + n - 5: characters of words inside an n-gram that occurred before, each once.
    DUP_SKIP + n - 5: the same, looking on only behind a repeated n-gram and not remembering those within it
        (datatrove).
    UNIQUE_WORDS: different words. REPEATED_10: occurrences of 10-grams that occur more than once.

    An n-gram can only occur twice if both (n-1)-grams in it do; so each level looks only at what the level before
    has left, and two numbers stand for an n-gram exactly.
    """
    n_docs = len(first) - 1
    out = np.zeros((n_docs, NGRAM_COLUMNS))
    longest = 0
    for d in range(n_docs):
        longest = max(longest, first[d + 1] - first[d])
    room = 16
    while room < 2 * longest:
        room *= 2
    keys = np.empty(room, np.uint64)
    slots = np.empty(room, np.int32)  # number of the n-gram + 1; 0: empty
    gram = np.empty(longest + 1, np.int32)  # number of the n-gram that begins here, -1 where it occurs once
    count = np.empty(longest + 1, np.int32)
    begin = np.empty(longest + 1, np.int32)
    places = np.empty(longest + 1, np.int32)
    total = np.zeros(longest + 1, np.int64)  # characters of words before word i
    seen = np.empty(longest + 1, np.uint8)
    for d in range(n_docs):
        lo = first[d]
        n = first[d + 1] - lo
        if n == 0:
            continue
        size = 16
        while size < 2 * n:
            size *= 2
        slots[:size] = 0
        mask = size - 1
        kinds = 0
        for i in range(n):
            h = hashes[lo + i]
            total[i + 1] = total[i] + chars[lo + i]
            slot = np.int64(h) & mask
            while slots[slot] != 0 and keys[slot] != h:
                slot = (slot + 1) & mask
            if slots[slot] == 0:
                keys[slot] = h
                kinds += 1
                slots[slot] = kinds
                count[kinds - 1] = 0
            gram[i] = slots[slot] - 1
            count[gram[i]] += 1
        out[d, UNIQUE_WORDS] = kinds
        left = 0
        for i in range(n):
            if count[gram[i]] > 1:
                places[left] = i
                left += 1
            else:
                gram[i] = -1
        for level in range(2, DEEPEST + 1):
            # gram[] holds level - 1; candidates are places whose (level-1)-gram and the next one both recur
            m = 0
            for k in range(left):
                i = places[k]
                if i + level <= n and gram[i + 1] >= 0:
                    places[m] = i
                    m += 1
            size = 16
            while size < 2 * m:
                size *= 2
            slots[:size] = 0
            mask = size - 1
            kinds = 0
            # a place's next neighbour must keep its number until it is read: candidates come in ascending order and
            # read i + 1 before it is overwritten
            previous = -1
            for k in range(m):
                i = places[k]
                for j in range(previous + 1, i):
                    gram[j] = -1
                previous = i
                key = (np.uint64(gram[i]) << SHIFT) | np.uint64(gram[i + 1])
                slot = np.int64(finish(key * MIX)) & mask
                while slots[slot] != 0 and keys[slot] != key:
                    slot = (slot + 1) & mask
                if slots[slot] == 0:
                    keys[slot] = key
                    kinds += 1
                    slots[slot] = kinds
                    count[kinds - 1] = 0
                    begin[kinds - 1] = i
                gram[i] = slots[slot] - 1
                count[gram[i]] += 1
            for j in range(previous + 1, n):
                gram[j] = -1
            left = 0
            best = 0
            for k in range(m):
                i = places[k]
                if count[gram[i]] > 1:
                    best = max(best, count[gram[i]])
                    places[left] = i
                    left += 1
                else:
                    gram[i] = -1
            if level <= 4 and n >= level:
                if best > 1:
                    chars_best = np.int64(0)
                    earliest = n
                    for g in range(kinds):
                        if count[g] == best:
                            chars_best = max(chars_best, total[begin[g] + level] - total[begin[g]])
                            earliest = min(earliest, begin[g])
                    out[d, TOP + level - 2] = best * chars_best
                    out[d, TOP_FIRST + level - 2] = best * (total[earliest + level] - total[earliest] + level - 1)
                else:
                    out[d, TOP_FIRST + level - 2] = total[level] - total[0] + level - 1
            if level >= 5:
                if left == 0:
                    break
                seen[:kinds] = 0
                covered = 0
                for k in range(left):
                    i = places[k]
                    if seen[gram[i]]:
                        out[d, DUP + level - 5] += total[i + level] - total[max(i, covered)]
                        covered = i + level
                    seen[gram[i]] = 1
                seen[:kinds] = 0
                behind = 0
                for k in range(left):
                    i = places[k]
                    if i < behind:
                        continue
                    if seen[gram[i]]:
                        out[d, DUP_SKIP + level - 5] += total[i + level] - total[i]
                        behind = i + level
                    seen[gram[i]] = 1
                if level == DEEPEST:
                    out[d, REPEATED_10] = left
    return out


# Columns of `char_counts`
(N_CHARS, N_ALNUM, N_ALPHA_CHARS, N_DIGITS, N_SPACES, N_UPPER_CHARS, N_HASHES, N_ELLIPSES, N_BRACKETS, N_NEWLINES,
 N_NEMO_PLAIN, CHAR_COLUMNS) = range(12)  # fmt: skip


@njit(cache=True)
def char_counts(data, offsets, flags):  # type: ignore[no-untyped-def]
    """Characters of each text by kind. Ellipses: '...' (not overlapping) and '…'. Brackets: ()[]{}⟨⟩."""
    n_docs = len(offsets) - 1
    out = np.zeros((n_docs, CHAR_COLUMNS))
    even = np.zeros(256, np.int64)
    odd = np.zeros(256, np.int64)  # two histograms: the same byte twice in a row need not wait for itself
    for d in range(n_docs):
        text = data[offsets[d] : offsets[d + 1]]
        even[:] = 0
        odd[:] = 0
        for pair in range(len(text) // 2):
            even[text[2 * pair]] += 1
            odd[text[2 * pair + 1]] += 1
        if len(text) % 2:
            even[text[len(text) - 1]] += 1
        even += odd
        row = out[d]
        for b in range(128):
            times = even[b]
            if times:
                kind = np.int64(flags[b])
                row[N_CHARS] += times
                if kind & ALNUM:
                    row[N_ALNUM] += times
                    row[N_NEMO_PLAIN] += times
                    row[N_ALPHA_CHARS] += times if kind & ALPHA else 0
                    row[N_UPPER_CHARS] += times if kind & UPPER else 0
                    row[N_DIGITS] += times if kind & DIGIT else 0
                row[N_SPACES] += times if kind & SPACE else 0
        row[N_NEWLINES] = even[10]
        row[N_NEMO_PLAIN] += even[10] + even[46] + even[63] + even[33] + even[44]
        row[N_HASHES] = even[35]
        row[N_BRACKETS] = even[40] + even[41] + even[91] + even[93] + even[123] + even[125]
        if even[46] > 2:
            row[N_ELLIPSES] = _dots(text)
        if row[N_CHARS] == len(text):
            continue
        i = 0
        while i < len(text):
            if text[i] < 0x80:
                i += 1
                continue
            code, width = code_at(text, i)
            i += width
            row[N_CHARS] += 1
            kind = class_of(flags, code)
            if kind & ALNUM:
                row[N_ALNUM] += 1
                row[N_ALPHA_CHARS] += 1 if kind & ALPHA else 0
                row[N_UPPER_CHARS] += 1 if kind & ALPHA and kind & UPPER else 0
                row[N_DIGITS] += 1 if kind & DIGIT else 0
            elif kind & SPACE:
                row[N_SPACES] += 1
            elif code == 0x2026:
                row[N_ELLIPSES] += 1
            elif code == 0x27E8 or code == 0x27E9:
                row[N_BRACKETS] += 1
    return out


@njit(cache=True)
def _dots(text):  # type: ignore[no-untyped-def]
    """Occurrences of '...' that do not overlap."""
    count = 0
    run = 0
    for b in text:
        if b == 46:
            run += 1
            if run == 3:
                count += 1
                run = 0
        else:
            run = 0
    return count


@njit(cache=True)
def char_repetition(data, offsets):  # type: ignore[no-untyped-def]
    """Share of occurrences of the floor(sqrt(n)) most frequent of n different runs of ten characters, those that occur
    once left out; 0.0 for texts of fewer than ten characters."""
    n_docs = len(offsets) - 1
    out = np.zeros(n_docs)
    for d in range(n_docs):
        lo, hi = offsets[d], offsets[d + 1]
        starts = np.empty(hi - lo, np.int64)
        chars = 0
        for i in range(lo, hi):
            if data[i] & 0xC0 != 0x80:
                starts[chars] = i
                chars += 1
        runs = chars - 9
        if runs < 1:
            continue
        size = 16
        while size < 2 * runs:
            size *= 2
        keys = np.zeros(size, np.uint64)
        counts = np.zeros(size, np.int32)
        kinds = repeated = 0
        for r in range(runs):
            h = FNV_OFFSET
            end = starts[r + 10] if r + 10 < chars else hi
            for i in range(starts[r], end):
                h = (h ^ np.uint64(data[i])) * FNV_PRIME
            h = finish(h)
            slot = np.int64(h) & (size - 1)
            while counts[slot] != 0 and keys[slot] != h:
                slot = (slot + 1) & (size - 1)
            if counts[slot] == 0:
                keys[slot] = h
                kinds += 1
            elif counts[slot] == 1:
                repeated += 1
            counts[slot] += 1
        top = np.sort(counts[counts > 1])[::-1]
        out[d] = top[: min(np.int64(np.sqrt(kinds)), repeated)].sum() / runs
    return out


@njit(cache=True)
def phrase_hits(first, hashes, beginnings, phrases, longest):  # type: ignore[no-untyped-def]
    """Words of each text that belong to a listed phrase, the longest phrase first, none counted twice; and phrases.

    Args:
        beginnings: table of the first words of phrases. phrases: table of `phrase_hash` of all words. longest: words.
    """
    n_docs = len(first) - 1
    out = np.zeros((n_docs, 2))
    for d in range(n_docs):
        i, end = first[d], first[d + 1]
        while i < end:
            length = 0
            if in_table(beginnings, hashes[i]):
                h = FNV_OFFSET
                for n in range(1, min(longest, end - i) + 1):
                    h = (h ^ hashes[i + n - 1]) * FNV_PRIME
                    if in_table(phrases, finish(h)):
                        length = n
            out[d, 0] += length
            out[d, 1] += length > 0
            i += max(length, 1)
    return out


@njit(cache=True)
def in_table(table, h):  # type: ignore[no-untyped-def]
    """Whether a hash is in a table of `make_table`."""
    mask = len(table) - 1
    slot = np.int64(h) & mask
    while table[slot] != 0:
        if table[slot] == h:
            return True
        slot = (slot + 1) & mask
    return False


@njit(cache=True)
def phrase_hash(hashes):  # type: ignore[no-untyped-def]
    """One hash for a sequence of word hashes."""
    h = FNV_OFFSET
    for word in hashes:
        h = (h ^ word) * FNV_PRIME
    return finish(h)
