"""Runs the `winnow` command, as a user does or, quicker, in this process."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass

from typer.testing import CliRunner

from pipeline.cli.main import app, run_cli
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


@dataclass(frozen=True)
class Typed:
    """How a command ended, and the bytes that it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def err(self) -> str:
        return self.stderr.decode()


def typed(*words: object, encoding: str = "utf-8") -> Typed:
    """The whole program in this process, with its way of ending: what a user sees of it, to the byte.

    Args:
        encoding: of stdout and stderr, with strict errors.
    """
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", write_through=True) for _ in range(2)]
    before = sys.stdout, sys.stderr, sys.argv
    sys.stdout, sys.stderr, sys.argv = *streams, ["winnow", *map(str, words)]
    code: object = None
    try:
        run_cli()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout, sys.stderr, sys.argv = before
    assert isinstance(code, int)
    found = [stream.buffer.getvalue() for stream in streams]
    return Typed(code, *found)


def within(*words: object) -> tuple[int, str]:
    """The exit code of a command that runs in this process, and the error that it would print. A bug raises."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    if isinstance(result.exception, WinnowError):
        return result.exception.exit_code, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
