"""One winnow at a time in a run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.run.lock import lock

HOLD = """
import pathlib, sys
from pipeline.run.lock import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_second_winnow_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    root = tmp_path / "runs" / "name"
    with lock(root):
        assert (root / ".lock").read_text() == str(os.getpid())
        with pytest.raises(UsageError, match="another winnow is working on this run"), lock(root):
            pass
    with lock(root):
        pass


def test_a_killed_winnow_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another winnow"), lock(tmp_path):
            pass
        holder.kill()
    with lock(tmp_path):
        pass
