"""Lists of words and phrases, one entry a line, as people read them and as kernels look them up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.text.batch import TextBatch

Table = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]  # see `pipeline.text.kernels.tables`
ROOM = 8  # places for each entry: lists are short, and most words that are asked for are on none


def read_list(path: str) -> list[str]:
    """Entries of a list file, one a line; '#' starts a comment where it begins a line or follows white space."""
    lines = (re.split(r"(?:^|\s)#", line)[0].strip() for line in Path(path).read_text("utf-8").splitlines())
    return [line for line in lines if line]


@cache
def list_table(path: str, exact: bool = False) -> Table:
    """The words of a list file as a table of hashes; its tokens, with their case, if exact."""
    from pipeline.text.kernels.tables import number_table

    batch = TextBatch(["\n".join(read_list(path))])
    made: Table = number_table(np.unique((batch.tokens if exact else batch.words).hashes), ROOM)
    return made


@dataclass(frozen=True)
class Phrases:
    """A list of words and phrases as kernels take it: tables of first words and of whole phrases, and the words of the longest
    one."""

    beginnings: Table
    whole: Table
    longest: int


@cache
def list_phrases(path: str) -> Phrases:
    """Words and phrases of a list file, case ignored."""
    from pipeline.text.kernels.tables import number_table
    from pipeline.text.kernels.words import phrase_hash

    w = TextBatch(read_list(path)).words
    spans = [(a, b) for a, b in zip(w.first[:-1].tolist(), w.first[1:].tolist(), strict=True) if b > a]
    whole = np.array([phrase_hash(w.hashes[a:b]) for a, b in spans], np.uint64)
    begin = np.array([w.hashes[a] for a, _ in spans], np.uint64)
    return Phrases(number_table(begin, ROOM), number_table(whole, ROOM), max((b - a for a, b in spans), default=0))
