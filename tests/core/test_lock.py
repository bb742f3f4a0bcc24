"""One command at a time for each result, whoever writes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.lock import held, lock, lock_file
from tests.command import COMMAND

HOLD = """
import pathlib, sys
from pipeline.core.lock import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""
WITH_CHILD = """
import pathlib, subprocess, sys
from pipeline.core.lock import held, lock
with lock(pathlib.Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"], pass_fds=held())
    print(child.pid, flush=True)
    input()
"""


def holder(script: str, result: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, str(result)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_second_is_told_who_works_and_a_later_one_is_let_in(tmp_path: Path) -> None:
    root = tmp_path / "runs" / "name"
    with holder(HOLD, root) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        who = rf"another winnow is working on this result \(process {other.pid} on \S+, since 20"
        with pytest.raises(UsageError, match=who), lock(root):
            pass
        other.kill()
    with lock(root), lock(root):  # what this process holds it may take again
        assert held()
    assert list(root.iterdir()) == []
    with lock(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()  # nothing came of it


def test_a_lock_of_a_file_lies_beside_it_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "model.bin"
    with lock(out, file=True):
        assert lock_file(out, file=True) == tmp_path / ".model.bin.lock"
        assert lock_file(out, file=True).is_file()
    assert list(tmp_path.iterdir()) == []


def test_two_ways_to_a_folder_are_one_result(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    with holder(HOLD, tmp_path / "real") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another winnow"), lock(tmp_path / "x" / ".." / "real"):
            pass
        other.kill()


def test_a_lock_is_free_when_the_last_child_of_a_killed_holder_is_gone(tmp_path: Path) -> None:
    """Until then a process may still write. The next command waits for it rather than refuse."""
    with holder(WITH_CHILD, tmp_path) as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        other.kill()
    began = time.monotonic()
    reaper = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {child}"])
    with lock(tmp_path):
        assert time.monotonic() - began > 0.3
    reaper.wait()


def test_workers_end_with_a_parent_that_was_killed(corpus: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "run", corpus, "--runs", tmp_path / "runs", "--workers", "2"]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 60
    while len(family(process.pid)) < 4:  # itself, resource tracker, two workers
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 10
    while left := family(process.pid):
        assert time.monotonic() < until, left
        time.sleep(0.05)


def family(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found
