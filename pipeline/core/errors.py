"""The error tree.

WinnowError                 anything winnow tells the user about; exit code 1
├── UsageError              the command line, the recipe or an input path is wrong; exit code 2
│   ├── RecipeError         names the file and the key, and says what would be right
│   └── MissingModelError   a model file is not there; says how to get it
├── DataError               an input or a dataset does not hold what it must
│   ├── BooksError          rows in != rows out + drops: the step refuses to seal
│   └── DamagedInput        files that a step reads are gone, or their bytes are others than were recorded
├── DiskFull                a file could not be written for want of space
├── DefinitionError         a signal, an edit or a match failed on a document, which curation then drops; names it
├── StepError               a step failed on some shard; what was finished is kept
└── ErrorLimit              finished, with more recorded errors than the recipe allows; exit code 3

An error that is not a WinnowError is a bug in winnow, and the only kind that may show a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


class WinnowError(Exception):
    """Base of everything that winnow reports to its user."""

    exit_code = 1


class UsageError(WinnowError):
    exit_code = 2


class RecipeError(UsageError):
    pass


class MissingModelError(UsageError):
    pass


class DataError(WinnowError):
    pass


class BooksError(DataError):
    pass


class DamagedInput(DataError):
    """Attributes: paths: the files."""

    def __init__(self, where: str, paths: Sequence[Path]) -> None:
        listed = ", ".join(map(str, paths[:5])) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
        super().__init__(
            f"{where} reads files that are gone, or hold other bytes than were recorded (sha256): {listed}. The command that "
            "made them makes them again, with --check all."
        )
        self.paths = tuple(paths)


class DiskFull(WinnowError):
    pass


class StepError(WinnowError):
    pass


class DefinitionError(WinnowError):
    """Attributes: kind: signal, edit or match. name: of the definition. note: what it raised."""

    def __init__(self, kind: str, name: str, note: str) -> None:
        super().__init__(f"{kind} '{name}': {note}")
        self.kind, self.name, self.note = kind, name, note


class ErrorLimit(WinnowError):
    exit_code = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names the closest known word, or an empty string; starts with a space."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
