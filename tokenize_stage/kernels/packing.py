"""Documents of tokens into rows of equal length: which piece of which document lies where, and the rows themselves.

Best-fit decreasing (Johnson 1973; for language models Ding et al. 2024, "Fewer Truncations Improve Language Modeling"): the
longest piece first, each into the row with the least room that still takes it. Rows are found by their room in a bitmap,
so a piece costs a look at row_tokens / 64 words.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DOC, FROM, SIZE, ROW, START = range(5)  # columns of pieces
U1, U6 = np.uint64(1), np.uint64(6)


@njit(cache=True)
def best_fit(lengths, row_tokens):
    """(pieces, rows): a document is cut only where it is longer than a row, into full rows and a remainder.

    Args:
        lengths: int64, tokens of each document with its end.

    Returns: int64 (pieces, 5): document, first token of it, tokens, row, place in the row; in the order of rows, then of
        places. The number of rows.
    """
    n_docs = len(lengths)
    n_pieces = 0
    counts = np.zeros(row_tokens + 2, np.int64)
    for d in range(n_docs):
        full, rest = lengths[d] // row_tokens, lengths[d] % row_tokens
        n_pieces += full + (1 if rest else 0)
        counts[rest] += 1
    # remainders from the longest to the shortest, equal ones in the order of documents
    starts = np.zeros(row_tokens + 2, np.int64)
    at = 0
    for size in range(row_tokens, 0, -1):
        starts[size] = at
        at += counts[size]
    order = np.empty(at, np.int64)
    for d in range(n_docs):
        rest = lengths[d] % row_tokens
        if rest:
            order[starts[rest]] = d
            starts[rest] += 1
    pieces = np.empty((n_pieces, 5), np.int64)
    n = rows = 0
    for d in range(n_docs):
        for k in range(lengths[d] // row_tokens):
            pieces[n, DOC], pieces[n, FROM], pieces[n, SIZE] = d, k * row_tokens, row_tokens
            pieces[n, ROW], pieces[n, START] = rows, 0
            n += 1
            rows += 1
    free = np.empty(at + 1, np.int64)  # room of each row that is open, from row `first_open` on
    first_open = rows
    waiting = np.full(row_tokens + 1, -1, np.int64)  # by room: the row that got it last
    below = np.empty(at + 1, np.int64)  # the row with the same room that got it before
    words = np.zeros((row_tokens >> 6) + 1, np.uint64)  # which rooms there are
    for x in range(len(order)):
        d = order[x]
        size = lengths[d] % row_tokens
        room = _least_room(words, size)
        if room < 0:
            row, room = rows - first_open, row_tokens
            rows += 1
        else:
            row = waiting[room]
            waiting[room] = below[row]
            if waiting[room] < 0:
                words[room >> 6] &= ~(U1 << np.uint64(room & 63))
        pieces[n, DOC], pieces[n, FROM], pieces[n, SIZE] = d, lengths[d] - size, size
        pieces[n, ROW], pieces[n, START] = first_open + row, row_tokens - room
        n += 1
        room -= size
        free[row] = room
        if room:
            below[row] = waiting[room]
            waiting[room] = row
            words[room >> 6] |= U1 << np.uint64(room & 63)
    return _by_row(pieces, rows), rows


@njit(cache=True)
def _least_room(words, size):
    """The least room that takes `size` tokens, -1 for none."""
    w = size >> 6
    here = words[w] >> np.uint64(size & 63) << np.uint64(size & 63)
    while not here:
        w += 1
        if w == len(words):
            return -1
        here = words[w]
    bit = here & (~here + U1)
    place = 0
    while bit > U1:
        bit >>= U1
        place += 1
    return (w << 6) + place


@njit(cache=True)
def _by_row(pieces, rows):
    """The pieces in the order of rows; those of one row keep theirs."""
    first = np.zeros(rows + 1, np.int64)
    for x in range(len(pieces)):
        first[pieces[x, ROW] + 1] += 1
    for r in range(rows):
        first[r + 1] += first[r]
    out = np.empty_like(pieces)
    for x in range(len(pieces)):
        r = pieces[x, ROW]
        out[first[r]] = pieces[x]
        first[r] += 1
    return out


@njit(cache=True)
def concat(lengths, row_tokens):
    """The same for documents end to end, cut into equal rows (Brown et al. 2020, section 2.2)."""
    total = 0
    for size in lengths:
        total += size
    rows = -(-total // row_tokens)
    pieces = np.empty((len(lengths) + rows, 5), np.int64)
    n = row = fill = 0
    for d in range(len(lengths)):
        at = 0
        while at < lengths[d]:
            take = min(lengths[d] - at, row_tokens - fill)
            pieces[n, DOC], pieces[n, FROM], pieces[n, SIZE], pieces[n, ROW], pieces[n, START] = d, at, take, row, fill
            n += 1
            at += take
            fill += take
            if fill == row_tokens:
                row += 1
                fill = 0
    return pieces[:n], rows


@njit(cache=True)
def alone(lengths, row_tokens):
    """The same with one document in a row, a longer one in several."""
    n = 0
    for size in lengths:
        n += -(-size // row_tokens)
    pieces = np.empty((n, 5), np.int64)
    n = 0
    for d in range(len(lengths)):
        for at in range(0, lengths[d], row_tokens):
            pieces[n, DOC], pieces[n, FROM], pieces[n, SIZE] = d, at, min(row_tokens, lengths[d] - at)
            pieces[n, ROW], pieces[n, START] = n, 0
            n += 1
    return pieces, n


@njit(cache=True)
def fill_rows(pieces, place, ids, first, lengths, eos, out):
    """Write rows.

    Args:
        pieces: from one of the above. place: int64, where each row goes in `out`.
        ids: of all documents, without their ends; document d begins at first[d] and has lengths[d] - 1 of them.
        eos: written behind every document, and as padding.
        out: (rows, row_tokens).
    """
    out[:] = eos
    for x in range(len(pieces)):
        d, at, size = pieces[x, DOC], pieces[x, FROM], pieces[x, SIZE]
        row, start = place[pieces[x, ROW]], pieces[x, START]
        given = min(size, lengths[d] - 1 - at)
        begin = first[d] + at
        for k in range(given):
            out[row, start + k] = ids[begin + k]


@njit(cache=True)
def take_rows(source, begin, place, out):
    """out[place[i]] = source[begin[i]:begin[i] + row length] with the type of `out`: gathering and widening in one pass."""
    width = out.shape[1]
    for i in range(len(begin)):
        row, into = source[begin[i] : begin[i] + width], out[place[i]]
        for k in range(width):
            into[k] = row[k]
