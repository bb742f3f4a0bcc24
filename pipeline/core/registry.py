"""Signals, edits and matches, and the one door through which all of them come.

A plug-in is a Python file that the recipe names. It decorates functions:

    @signal("upper_case_frac")
    def upper_case_frac(doc: Doc) -> float: ...

    @edit("strip_footer")
    def strip_footer(doc: Doc) -> list[Span]: ...

    @match("title")
    def title(doc: Doc) -> list[bytes]: ...

Keyword-only parameters with types and defaults are the configuration schema: `[signals.NAME]` for a signal,
`[curate.NAME]` for an edit or a match. With several names a signal function returns one value for each. With
`batch=True` it receives the list of all documents of a batch and returns a list or array (one per name), which is how
kernels and classifiers take part.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.core.definitions import CountedEdit, EditDef, MatchDef, PlainEdit, SignalDef, WindowEdit, Windows
from pipeline.core.documents import Documents
from pipeline.core.errors import RecipeError, UsageError, did_you_mean
from pipeline.core.files import sha256_file
from pipeline.core.params import check, params_of
from pipeline.core.spans import Span as Span  # where plug-ins look for it
from pipeline.core.watch import began, calling

F = TypeVar("F", bound=Callable[..., Any])


PLUGIN_MODULE = "winnow_plugin_"  # what the module of a plug-in is called begins so


def is_plugin(definition: SignalDef | EditDef | MatchDef) -> bool:
    """Whether a user's file registered it."""
    return definition.fn.__module__.startswith(PLUGIN_MODULE)


class Registry:
    """All signals, edits and matches that a recipe can name."""

    def __init__(self) -> None:
        self.signals: dict[str, SignalDef] = {}
        self.edits: dict[str, EditDef] = {}
        self.matches: dict[str, MatchDef] = {}
        self.plugin_hashes: dict[str, str] = {}

    def find_signal(self, name: str, where: str) -> SignalDef:
        if name not in self.signals:
            raise RecipeError(f"{where}: no signal '{name}'.{did_you_mean(name, self.signals)}")
        return self.signals[name]

    def gate_names(self) -> Iterator[str]:
        yield from self.edits
        yield from self.matches


REGISTRY = Registry()


def signal(
    *names: str,
    batch: bool = False,
    version: int = 1,
    files: Sequence[str] = (),
    text: Sequence[str] = (),
    requires: Sequence[str] = (),
) -> Callable[[F], F]:
    """Register a function that measures documents. Raise `version` when its results change.

    Args:
        files: parameters that name files or folders (or lists of them): their content counts, not their path.
        text: names of signals that are texts.
        requires: parameters that a recipe has to give.
    """

    def register(fn: F) -> F:
        made = SignalDef(names, fn, batch, version, tuple(files), tuple(text), tuple(requires), params_of(fn))
        for name in names:
            _claim(name, REGISTRY.signals, fn)
            REGISTRY.signals[name] = made
        return fn

    return register


def edit(
    name: str,
    *,
    keys: Callable[..., Iterable[tuple[bytes, bytes]]] | None = None,
    keep_one: bool = False,
    windows: Callable[..., Windows] | None = None,
    version: int = 1,
    files: Sequence[str] = (),
    requires: Sequence[str] = (),
) -> Callable[[F], F]:
    """Register a function that gives the spans of a text to replace or remove.

    Args:
        keys: makes this an edit that knows the corpus: (group, key) pairs of a document. The edit then takes the
            parameters `min_documents` and `min_share`, and a keyword `common`, a set of 16-byte hashes: those keys
            that so many documents of their group have (see `common_key`).
        keep_one: with `keys`: the document that `[curate] keep` prefers keeps what it shares with others.
        windows: makes this an edit that knows which windows occur more than once in the corpus (see `WindowEdit`); it takes a
            keyword `found`.

    Raises: UsageError if `keys` or `windows` is given and the edit lacks one of these parameters.
    """

    def register(fn: F) -> F:
        _claim(name, {**REGISTRY.edits, **REGISTRY.matches}, fn)
        params = params_of(fn)
        about = (name, fn, version, tuple(files))
        if keys is not None:
            if windows is not None:
                raise UsageError(f"edit '{name}' has both keys and windows: give one.")
            for needed in ("min_documents", "min_share", "common"):
                if needed not in params:
                    raise UsageError(f"edit '{name}' has keys and needs the parameter '{needed}'.")
            del params["common"]  # comes from the engine, never from a recipe
            REGISTRY.edits[name] = CountedEdit(*about, keys, keep_one, tuple(requires), params)
        elif windows is not None:
            if "found" not in params:
                raise UsageError(f"edit '{name}' has windows and needs the parameter 'found'.")
            del params["found"]
            REGISTRY.edits[name] = WindowEdit(*about, windows, tuple(requires), params)
        else:
            REGISTRY.edits[name] = PlainEdit(*about, tuple(requires), params)
        return fn

    return register


def common_key(group: bytes, key: bytes) -> bytes:
    """The 16 bytes under which a key of a group is counted, and found in `common`."""
    return hashlib.blake2b(len(group).to_bytes(4, "little") + group + key, digest_size=16).digest()


def match(
    name: str,
    *,
    similarity: Callable[..., float] | None = None,
    features: Callable[..., Any] | None = None,
    reason: str = "",
    version: int = 1,
    files: Sequence[str] = (),
    batch: bool = False,
) -> Callable[[F], F]:
    """Register a function that gives the keys under which copies of a document meet (see `MatchDef`).

    Raises: UsageError if it has both `similarity` and `features`.
    """
    if similarity is not None and features is not None:
        raise UsageError(f"match '{name}' has both a similarity and features: give one.")

    def register(fn: F) -> F:
        _claim(name, {**REGISTRY.edits, **REGISTRY.matches}, fn)
        REGISTRY.matches[name] = MatchDef(
            name, fn, similarity, features, reason or f"{name}_copy", version, tuple(files), batch, params_of(fn)
        )
        return fn

    return register


def _claim(name: str, taken: dict[str, Any], fn: Callable[..., Any]) -> None:
    """A name belongs to one function. The same file loaded again may register again."""
    old = taken.get(name)
    if old is not None and inspect.getsourcefile(old.fn) != inspect.getsourcefile(fn):
        raise UsageError(
            f"{inspect.getsourcefile(fn)}: '{name}' is already defined in {inspect.getsourcefile(old.fn)}."
        )


def load_plugins(paths: Iterable[Path]) -> None:
    """Import plug-in files so that what they register can be named. A file is imported once per process.

    Raises: UsageError if a file is missing or fails to import.
    """
    for path in paths:
        path = path.resolve()
        if not path.is_file():
            raise UsageError(f"plugin {path}: no such file.")
        digest = sha256_file(path)
        if REGISTRY.plugin_hashes.get(str(path)) == digest:
            continue
        spec = importlib.util.spec_from_file_location(f"{PLUGIN_MODULE}{path.stem}_{digest[:8]}", path)
        if spec is None or spec.loader is None:
            raise UsageError(f"plugin {path}: not a Python file.")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"plugin {path}: {type(error).__name__}: {error}") from error
        REGISTRY.plugin_hashes[str(path)] = digest


def measure(definition: SignalDef, docs: Documents, values: Mapping[str, Any]) -> None:
    """Measure one signal definition on documents; the values land in each one's `signals`.

    Raises: DefinitionError that names the signal if its function raises, or gives what is no value of it: another type, a number
        that is not finite, more or fewer than there are documents or names.
    """
    name, fn = definition.names[0], definition.fn
    with calling("signal", name, len(docs)):
        if definition.batch:
            columns = fn(docs, **values) if docs else [[]] * len(definition.names)
            columns = [columns] if len(definition.names) == 1 and docs else columns
        else:
            rows = []
            for doc in docs:
                began("signal", name)
                found = fn(doc, **values)
                rows.append((found,) if len(definition.names) == 1 else tuple(found))
            columns = list(zip(*rows, strict=True)) if rows else [[]] * len(definition.names)
        lists = [_values(c, n in definition.text) for n, c in zip(definition.names, columns, strict=True)]
        for doc, row in zip(docs, zip(*lists, strict=True), strict=True):
            doc.signals.update(zip(definition.names, row, strict=True))


def _values(column: Any, text: bool) -> list[Any]:
    """The values of one signal as they are stored. Raises: TypeError or ValueError for what is none."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub" and not text:
        numbers = column.astype(float)
        if not np.isfinite(numbers).all():
            raise ValueError(f"a value is not finite: {numbers[~np.isfinite(numbers)][0]}")
        return numbers.tolist()  # type: ignore[no-any-return]
    return [None if v is None else _text(v) if text else _number(v) for v in column]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    value.encode()  # a lone surrogate cannot be stored
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a value is not finite: {number}")
    return number


@dataclass(frozen=True)
class Call:
    """A registered edit or match as a recipe calls it: pickles by name, and finds its function again in any process.

    Attributes:
        params: checked, defaults filled in.
        identity: what enters step keys, JSON values: files count by content.
        plugins: to be loaded before the function can be found.
    """

    name: str
    params: Mapping[str, Any]
    identity: Mapping[str, Any]
    plugins: tuple[Path, ...] = ()

    @property
    def edit(self) -> EditDef:
        load_plugins(self.plugins)
        return REGISTRY.edits[self.name]

    @property
    def match(self) -> MatchDef:
        load_plugins(self.plugins)
        return REGISTRY.matches[self.name]


def resolve(where: str, definition: SignalDef | EditDef | MatchDef, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a registered function from a recipe table, strictly checked.

    Raises: RecipeError for an unknown name, a wrong type, or a required parameter that is not given.
    """
    found = check(where, given, definition.params)
    for name in getattr(definition, "requires", ()):
        if not found[name]:
            raise RecipeError(f"{where}.{name}: this has to be given.")
    return found
