"""When looking at a run fails: is it the run that is damaged, or winnow?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import DataError, WinnowError
from pipeline.look.run import open_run
from pipeline.look.verify import verify


@contextmanager
def looking(path: Path) -> Iterator[None]:
    """A block that reads a run. Whatever fails in it, if the run is not what its manifests say: DataError that names what is
    damaged. If the run is whole, the error is a bug and goes on.

    Args:
        path: run directory or step.
    """
    try:
        yield
    except (WinnowError, BrokenPipeError):
        raise
    except Exception as error:
        problem = damage(path)
        if problem is None:
            raise
        raise DataError(
            f"{path}: damaged, so there is no answer: {problem}. `winnow verify` lists everything that is wrong, and the "
            "command that made it mends it."
        ) from error


def damage(path: Path) -> str | None:
    """The first thing that is wrong with a run or step; None if it is whole."""
    try:
        for step, problems in verify(open_run(path)).steps.items():
            for problem in problems:
                return f"{step}: {problem}"
    except Exception as error:  # noqa: BLE001 - a check that cannot finish says that something is wrong, and what
        return str(error) or type(error).__name__
    return None
