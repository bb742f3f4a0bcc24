"""Which blocks of a page belong to a reference text: labels for training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NGRAM = 4
NEAR, ALL_BUT = 4, 0.75  # blocks from an accepted one, and share of words: for texts that the reference cuts otherwise
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def words_of(text: str) -> list[str]:
    """Lower-cased words; a Chinese or Japanese character is one."""
    return _WORDS.findall(text.lower())


def block_labels(blocks: Sequence[str], truth: str) -> npt.NDArray[np.float32]:
    """Share of each block's words that the reference text has, in [0, 1].

    Longer blocks are compared by word 4-grams. Shorter ones count where the reference has the same words in the same
    order; each word of the reference is given out once, first to long blocks, then to short ones near those, last to
    what is near and made of words that are left.
    """
    reference = words_of(truth)
    labels = np.zeros(len(blocks), np.float32)
    if not reference:
        return labels
    grams = [set(zip(*(reference[i:] for i in range(k)), strict=False)) for k in range(1, NGRAM + 1)]
    left = Counter(reference)
    split = [words_of(b) for b in blocks]
    accepted: list[int] = []
    for i, words in enumerate(split):
        if len(words) < NGRAM:
            continue
        covered = np.zeros(len(words), bool)
        for j in range(len(words) - NGRAM + 1):
            if tuple(words[j : j + NGRAM]) in grams[-1]:
                covered[j : j + NGRAM] = True
        share = float(covered.mean())
        if share > 0.3:
            have = sum(min(n, left[w]) for w, n in Counter(words).items()) / len(words)
            if have < 0.5:
                continue  # a second copy of what another block has given already
            left.subtract(words)
            accepted.append(i)
            labels[i] = min(share, have)
    places = np.array(accepted)
    short = [i for i, w in enumerate(split) if 0 < len(w) < NGRAM and tuple(w) in grams[len(w) - 1]]
    for i in sorted(short, key=lambda i: int(np.abs(places - i).min()) if len(places) else i):
        if all(left[w] > 0 for w in split[i]):
            left.subtract(split[i])
            labels[i] = 1.0
            accepted.append(i)
    places = np.array(sorted(accepted))
    rest = [i for i, w in enumerate(split) if w and labels[i] == 0]
    for i in sorted(rest, key=lambda i: int(np.abs(places - i).min()) if len(places) else 0):
        near = len(places) and int(np.abs(places - i).min()) <= NEAR
        have = sum(min(n, left[w]) for w, n in Counter(split[i]).items()) / len(split[i])
        if near and have >= ALL_BUT:
            left.subtract(split[i])
            labels[i] = have
    return labels


def word_f1(text: str, truth: str) -> float:
    r"""F1 of the multisets of lower-cased `\w+` words (the WCXB measure); 1.0 where both are empty."""
    a, b = Counter(re.findall(r"\w+", text.lower())), Counter(re.findall(r"\w+", truth.lower()))
    if not a and not b:
        return 1.0
    common = sum((a & b).values())
    return 2 * common / max(sum(a.values()) + sum(b.values()), 1)
