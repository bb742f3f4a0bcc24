"""Around each call of a registered function: what it raises gets its name, and whoever limits its time hears that it begins."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import DefinitionError, WinnowError

MAX_NOTE_CHARS = 300
Watcher = Callable[[str, str, int], None]  # kind and name of the definition, documents of the call; 0 when it has ended


class Interrupted(BaseException):
    """Raised in a call by whoever limits its time. No Exception, which a plug-in may catch."""


def nobody(kind: str, name: str, documents: int) -> None:
    """Nobody limits the time."""


_watcher: Watcher = nobody


def set_watcher(watcher: Watcher) -> None:
    """Who hears of the calls in this process from now on."""
    global _watcher
    _watcher = watcher


def began(kind: str, name: str, documents: int = 1) -> None:
    """A call of a definition begins."""
    _watcher(kind, name, documents)


@contextmanager
def calling(kind: str, name: str, documents: int = 1) -> Iterator[None]:
    """A call of a definition. Raises: DefinitionError that names it for whatever it raises but a WinnowError: that is for the
    user, such as a parameter that is wrong for every document."""
    _watcher(kind, name, documents)
    try:
        yield
    except (WinnowError, KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:  # SystemExit, GeneratorExit, the panic of a compiled module: it is the plug-in's
        raise DefinitionError(kind, name, note_of(error)) from error
    finally:
        _watcher(kind, name, 0)


def note_of(error: BaseException) -> str:
    """One line of an error with its place in code, fit to be stored."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_NOTE_CHARS]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return (text + place).encode("utf-8", "replace").decode()
