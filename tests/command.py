"""Runs the `winnow` command, as a user does or, quicker, in this process."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.core.errors import WinnowError

COMMAND = (sys.executable, "-m", "pipeline.cli.main")


def winnow(*words: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: exit code, stdout and stderr are those that a user sees."""
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False)


def printed(*words: object) -> str:
    """What a command prints that runs in this process and must not fail."""
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def within(*words: object) -> tuple[int, str]:
    """The exit code of a command that runs in this process, and the error that it would print. A bug raises."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    if isinstance(result.exception, WinnowError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
