"""Windows of tokens that occur more than once, for edits that remove exact substrings."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def repeated_windows(high, more, rank, at):
    """Places of the windows that occur more than once, and whether each is the first of its kind (by rank, then `at`).

    Args:
        high: uint64, ascending. more: uint32, further bits. rank: uint32, of the document. at: int32, place in it.
    """
    place = np.empty(1024, np.int64)
    is_first = np.empty(1024, np.bool_)
    n = 0
    i = 0
    while i < len(high):
        j = i + 1
        while j < len(high) and high[j] == high[i]:
            j += 1
        if j - i > 1:
            order = np.argsort(at[i:j], kind="mergesort")
            order = order[np.argsort(rank[i:j][order], kind="mergesort")]
            order = order[np.argsort(more[i:j][order], kind="mergesort")]
            if n + j - i > len(place):
                room = 2 * (n + j - i)
                more_places, more_firsts = np.empty(room, np.int64), np.empty(room, np.bool_)
                more_places[:n], more_firsts[:n] = place[:n], is_first[:n]
                place, is_first = more_places, more_firsts
            for k in range(len(order)):
                here = i + order[k]
                same_before = k > 0 and more[i + order[k - 1]] == more[here]
                same_after = k + 1 < len(order) and more[i + order[k + 1]] == more[here]
                if same_before or same_after:
                    place[n], is_first[n] = here, not same_before
                    n += 1
        i = j
    return place[:n], is_first[:n]
