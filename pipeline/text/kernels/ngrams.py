"""N-gram and character statistics of a batch of texts."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.text.chars import ALNUM, ALPHA, DIGIT, SPACE, UPPER
from pipeline.text.kernels.bytes import FNV_OFFSET, FNV_PRIME, MIX, SHIFT, class_of, code_at, finish

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
def ngram_counts(first, chars, hashes):
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
