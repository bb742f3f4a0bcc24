"""What a registered function is: signals, three kinds of edits, matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.params import Param
from pipeline.core.spans import Span


@dataclass(frozen=True)
class SignalDef:
    names: tuple[str, ...]
    fn: Callable[..., Any]
    batch: bool
    version: int
    files: tuple[str, ...]  # names of parameters that are files: their content counts in the step key
    text: tuple[str, ...]  # names whose value is a text (a language), not a number
    requires: tuple[str, ...] = ()  # names of parameters that have no useful default and must be given
    params: dict[str, Param] = field(default_factory=dict)


@dataclass(frozen=True)
class PlainEdit:
    """`fn(doc, **params)` gives spans."""

    name: str
    fn: Callable[..., Iterable[Span]]
    version: int
    files: tuple[str, ...]
    requires: tuple[str, ...] = ()
    params: dict[str, Param] = field(default_factory=dict)


@dataclass(frozen=True)
class CountedEdit:
    """An edit that asks how common a key is.

    `keys(doc, **params)` gives pairs (group, key); the engine counts in how many documents of its group each key occurs, and
    `fn` receives the common ones as `common` (see `edit`). With `keep_one` a common key is not in `common` for the one document
    that comes first in the order of `keep`.
    """

    name: str
    fn: Callable[..., Iterable[Span]]
    version: int
    files: tuple[str, ...]
    keys: Callable[..., Iterable[tuple[bytes, bytes]]]
    keep_one: bool
    requires: tuple[str, ...] = ()
    params: dict[str, Param] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowEdit:
    """An edit that asks which windows of texts occur again.

    `windows(docs, **params)` gives (place in docs int32, position int32, uint64, uint32) for every window of the texts, the last
    two being its hash; `fn` receives `found`, the positions of those that occur earlier (in the order of `keep`, then of
    position) and of those that occur again later but not earlier.
    """

    name: str
    fn: Callable[..., Iterable[Span]]
    version: int
    files: tuple[str, ...]
    windows: Callable[..., Windows]
    requires: tuple[str, ...] = ()
    params: dict[str, Param] = field(default_factory=dict)


EditDef = PlainEdit | CountedEdit | WindowEdit
Windows = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]


@dataclass(frozen=True)
class MatchDef:
    """`fn(doc, **params)` gives keys; documents that share one are candidates for being copies.

    With `batch` it is `fn(docs, **params)` -> (places, keys): for every key the place of its document in `docs`, int64,
    and 16 bytes, uint8 of shape (keys, 16), spread evenly over all values.

    Candidate pairs are verified before anything is dropped, by one of two:

    - `features(docs, **params)` -> (offsets int64, values uint32): a set of hashes for each document, ascending and
      without repetition. A pair holds when the Jaccard similarity of the sets reaches `min_similarity`, or where the match
      has a `min_containment` above 0 and such a share of the dropped document's set is in the other one's.
    - `similarity(doc_a, doc_b, **params)` in [0, 1]; a pair holds when it reaches `min_similarity`.

    Without both a shared key is proof enough (exact match).
    """

    name: str
    fn: Callable[..., Any]
    similarity: Callable[..., float] | None
    features: Callable[..., Any] | None
    reason: str
    version: int
    files: tuple[str, ...]
    batch: bool = False
    params: dict[str, Param] = field(default_factory=dict)
