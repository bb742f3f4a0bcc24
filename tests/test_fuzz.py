"""All fuzz tests, in one child process whose kernels check every index."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.fuzz import CHECKED, TOP


def test_fuzz_targets_hold_with_bounds_checks() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "fuzz", "-p", "no:cacheprovider"]
    done = subprocess.run(command, env=os.environ | CHECKED, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
