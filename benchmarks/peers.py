"""The tools that winnow is compared with: which are installed here, and those that run in an environment of their own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess


class PeerFailed(SystemExit):
    """A peer's process failed; the message has the end of what it said."""


def version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


def missing(name: str, why: str = "not installed") -> None:
    """Say that a peer is not in the comparison."""
    print(f"  {name}: missing, {why}")


def installed(module: str, package: str = "") -> str:
    """Name and version of a peer, "" (and a line that says so) if it is not installed here."""
    if importlib.util.find_spec(module) is None:
        missing(package or module)
        return ""
    try:
        return version(package or module)
    except importlib.metadata.PackageNotFoundError:  # a package that is named otherwise
        return module


def run_peer(python: str, *arguments: str, given: str = "") -> str:
    """What a script prints in an environment of its own.

    Args:
        python: the interpreter of that environment; it sees its own packages alone.
        given: to be read from stdin.

    Raises: PeerFailed.
    """
    own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([python, *arguments], input=given, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        raise PeerFailed(f"{python} {' '.join(arguments)[:200]} failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout
