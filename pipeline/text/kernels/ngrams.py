"""N-gram and character statistics of a batch of texts."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, MIX, SHIFT, class_of, code_at, finish
from pipeline.text.kernels.chars import ALNUM, ALPHA, DIGIT, SPACE, UPPER
from pipeline.text.kernels.tables import EMPTY, place_of, room_for

TOP_N = (2, 3, 4)  # words of the n-grams whose most frequent one is measured
DUP_N = (5, 6, 7, 8, 9, 10)  # of those whose repetitions are
DEEPEST = DUP_N[-1]
# Columns of `ngram_counts`, one for each n
TOP = (0, 1, 2)
TOP_FIRST = (3, 4, 5)
DUP = (6, 7, 8, 9, 10, 11)
DUP_SKIP = (12, 13, 14, 15, 16, 17)
UNIQUE_WORDS, REPEATED_10, NGRAM_COLUMNS = 18, 19, 20


@njit(cache=True)
def ngram_counts(first, chars, hashes):
    """Repetition of n-grams, one row per text.

    TOP: characters of words in all occurrences of the most frequent n-gram, the longest of equally frequent ones; 0 when none
        occurs twice.
    TOP_FIRST: the same with one blank between words, the first of equally frequent ones, counted also when it occurs once
        (datatrove).
    DUP: characters of words inside an n-gram that occurred before, each once.
    DUP_SKIP: the same, looking on only behind a repeated n-gram and not remembering those within it (datatrove).
    UNIQUE_WORDS: different words. REPEATED_10: occurrences of 10-grams that occur more than once.

    An n-gram can only occur twice if both (n-1)-grams in it do; so each level looks only at what the level before
    has left, and two numbers stand for an n-gram exactly.
    """
    n_docs = len(first) - 1
    out = np.zeros((n_docs, NGRAM_COLUMNS))
    longest = 0
    for d in range(n_docs):
        longest = max(longest, first[d + 1] - first[d])
    room = room_for(longest, 2)
    table = np.empty(room, np.uint64), np.empty(room, np.int32)
    gram = np.empty(longest + 1, np.int32)  # number of the n-gram that begins here, -1 where it occurs once
    count = np.empty(longest + 1, np.int32)  # of an n-gram
    begin = np.empty(longest + 1, np.int32)  # the first place of an n-gram
    places = np.empty(longest + 1, np.int32)  # where n-grams begin that occur more than once
    total = np.zeros(longest + 1, np.int64)  # characters of words before word i
    seen = np.empty(longest + 1, np.uint8)
    for d in range(n_docs):
        lo, n = first[d], first[d + 1] - first[d]
        if n == 0:
            continue
        row = out[d]
        for i in range(n):
            total[i + 1] = total[i] + chars[lo + i]
        kinds = _number_words(hashes[lo : lo + n], table, gram, count)
        row[UNIQUE_WORDS] = kinds
        for i in range(n):
            places[i] = i
        left, _ = _recurring(places, n, gram, count)
        for level in range(2, DEEPEST + 1):
            candidates, kinds = _number_grams(level, n, places, left, table, gram, count, begin)
            left, most = _recurring(places, candidates, gram, count)
            if level <= TOP_N[-1]:
                if n >= level:
                    _measure_top(level, n, kinds, most, count, begin, total, row)
                continue
            if left == 0:
                break
            at = level - DUP_N[0]
            row[DUP[at]] = _covered(level, kinds, places[:left], gram, total, seen)
            row[DUP_SKIP[at]] = _covered_skipping(level, kinds, places[:left], gram, total, seen)
            if level == DEEPEST:
                row[REPEATED_10] = left
    return out


@njit(cache=True)
def _number_words(hashes, table, gram, count):
    """Number the words of a text in the order in which they come; returns how many different ones there are."""
    n = len(hashes)
    room = room_for(n, 2)
    keys, numbers = table[0][:room], table[1][:room]
    numbers[:] = EMPTY
    kinds = 0
    for i in range(n):
        h = hashes[i]
        place = place_of(keys, numbers, h, h)
        if numbers[place] < 0:
            keys[place] = h
            numbers[place] = kinds
            count[kinds] = 0
            kinds += 1
        gram[i] = numbers[place]
        count[gram[i]] += 1
    return kinds


@njit(cache=True)
def _recurring(places, n, gram, count):
    """Keep, of places[:n], those of n-grams that occur more than once, and mark the others in `gram`; returns (how many, times of
    the most frequent one)."""
    left = 0
    most = np.int32(0)
    for k in range(n):
        i = places[k]
        times = count[gram[i]]
        if times > 1:
            most = max(most, times)
            places[left] = i
            left += 1
        else:
            gram[i] = -1
    return left, most


@njit(cache=True)
def _number_grams(level, n, places, left, table, gram, count, begin):
    """From the numbers of (level-1)-grams in `gram` those of the level; returns (how many places are left, how many kinds).

    Candidates are places whose (level-1)-gram and the next one both recur.
    """
    m = 0
    for k in range(left):
        i = places[k]
        if i + level <= n and gram[i + 1] >= 0:
            places[m] = i
            m += 1
    room = room_for(m, 2)
    keys, numbers = table[0][:room], table[1][:room]
    numbers[:] = EMPTY
    kinds = 0
    # a place's next neighbour must keep its number until it is read: candidates come in ascending order and read i + 1 before it
    # is overwritten
    previous = -1
    for k in range(m):
        i = places[k]
        for j in range(previous + 1, i):
            gram[j] = -1
        previous = i
        key = (np.uint64(gram[i]) << SHIFT) | np.uint64(gram[i + 1])
        place = place_of(keys, numbers, key, finish(key * MIX))
        if numbers[place] < 0:
            keys[place] = key
            numbers[place] = kinds
            count[kinds] = 0
            begin[kinds] = i
            kinds += 1
        gram[i] = numbers[place]
        count[gram[i]] += 1
    for j in range(previous + 1, n):
        gram[j] = -1
    return m, kinds


@njit(cache=True)
def _measure_top(level, n, kinds, most, count, begin, total, row):
    """Write TOP and TOP_FIRST of a level, whose most frequent n-gram occurs `most` times."""
    at = level - TOP_N[0]
    if most <= 1:
        row[TOP_FIRST[at]] = total[level] - total[0] + level - 1
        return
    most_chars = np.int64(0)
    earliest = n
    for g in range(kinds):
        if count[g] == most:
            most_chars = max(most_chars, total[begin[g] + level] - total[begin[g]])
            earliest = min(earliest, begin[g])
    row[TOP[at]] = most * most_chars
    row[TOP_FIRST[at]] = most * (total[earliest + level] - total[earliest] + level - 1)


@njit(cache=True)
def _covered(level, kinds, places, gram, total, seen):
    """Characters inside n-grams that occurred before, each once."""
    seen[:kinds] = 0
    chars = np.int64(0)
    covered = 0
    for i in places:
        if seen[gram[i]]:
            chars += total[i + level] - total[max(i, covered)]
            covered = i + level
        seen[gram[i]] = 1
    return chars


@njit(cache=True)
def _covered_skipping(level, kinds, places, gram, total, seen):
    """The same, looking on only behind a repeated n-gram."""
    seen[:kinds] = 0
    chars = np.int64(0)
    behind = 0
    for i in places:
        if i < behind:
            continue
        if seen[gram[i]]:
            chars += total[i + level] - total[i]
            behind = i + level
        seen[gram[i]] = 1
    return chars


# Columns of `char_counts`
(N_CHARS, N_ALNUM, N_ALPHA_CHARS, N_DIGITS, N_SPACES, N_UPPER_CHARS, N_HASHES, N_ELLIPSES, N_BRACKETS, N_NEWLINES,
 N_NEMO_PLAIN, CHAR_COLUMNS) = range(12)  # fmt: skip


@njit(cache=True)
def char_counts(data, offsets, flags):
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
def _dots(text):
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
def char_repetition(data, offsets):
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
        room = room_for(runs, 2)
        keys, again = np.empty(room, np.uint64), np.full(room, EMPTY, np.int32)  # occurrences after the first one
        kinds = repeated = 0
        for r in range(runs):
            h = FNV_OFFSET
            end = starts[r + 10] if r + 10 < chars else hi
            for i in range(starts[r], end):
                h = (h ^ np.uint64(data[i])) * FNV_PRIME
            h = finish(h)
            place = place_of(keys, again, h, h)
            if again[place] < 0:
                keys[place] = h
                kinds += 1
            elif again[place] == 0:
                repeated += 1
            again[place] += 1
        top = np.sort(again[again > 0] + 1)[::-1]
        out[d] = top[: min(np.int64(np.sqrt(kinds)), repeated)].sum() / runs
    return out
