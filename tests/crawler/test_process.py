"""The crawling process: it has one owner and ends with it, a folder has one, and the working folder is no place for modules."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.process import LOCK, command, environment, hold
from pipeline.core.errors import UsageError
from tests.crawler.kills import Flaky, result, words

TOP = Path(__file__).parents[2]


@pytest.fixture
def site() -> Iterator[Flaky]:
    made = Flaky(25)
    yield made
    made.shutdown()
    made.server_close()


def gone(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":  # its new parent has yet to look after it
            return True
        time.sleep(0.02)
    return False


def test_a_second_holder_waits_for_a_dying_one_and_names_a_living_one(tmp_path: Path) -> None:
    script = "import sys, time; from pathlib import Path; from crawler.process import hold; hold(Path(sys.argv[1]))"
    holder = subprocess.Popen([sys.executable, "-c", script + "; print(1, flush=True); time.sleep(60)", str(tmp_path)],
                              stdout=subprocess.PIPE, cwd=TOP)  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(
        UsageError, match=rf"^{tmp_path}: another winnow is working on this result \(process {holder.pid} on"
    ):
        hold(tmp_path, wait_s=0.1)
    threading.Timer(0.5, holder.kill).start()
    os.close(hold(tmp_path, wait_s=10.0))
    holder.wait()
    holder.stdout.close()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_two_crawls_at_once_into_one_folder(site: Flaky, tmp_path: Path) -> None:
    """The second command gives up, and so does a second worker, whoever started it; what the first one writes is whole."""
    first = subprocess.Popen(words(site, tmp_path / "c"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "c" / LOCK).exists() or not site.asked:
        time.sleep(0.02)
    held = json.loads((tmp_path / "c" / LOCK).read_text())
    os.kill(held["pid"], signal.SIGSTOP)  # it is in no hurry
    script = "import sys; from pathlib import Path; from crawler import process; process.WAIT_S = 0.2\n" \
             "process.hold.__kwdefaults__['wait_s'] = 0.2\n" \
             "from crawler.worker import main; main(Path(sys.argv[1]), None)"  # fmt: skip
    second = subprocess.run([sys.executable, "-c", script, str(tmp_path / "c")], capture_output=True, text=True, cwd=TOP,
                            stdin=subprocess.DEVNULL, check=False)  # fmt: skip
    command = subprocess.run(words(site, tmp_path / "c"), capture_output=True, text=True, cwd=TOP, check=False)
    os.kill(held["pid"], signal.SIGCONT)
    assert command.returncode == 2
    assert f"another winnow is working on this result (process {first.pid} on " in command.stderr
    assert second.returncode == 1
    failed = json.loads(second.stdout)["failed"]
    assert failed.startswith(f"{tmp_path / 'c'}: another winnow is working on this result (process {held['pid']} on ")
    assert first.wait() == 0
    assert sum(outcome == "fetched" for outcome, *_ in result(tmp_path / "c", site).values()) > 20


BUSY = """
import sys
sys.argv = ["worker", sys.argv[1], sys.argv[2]]
from crawler.process import end_with_parent
end_with_parent(int(sys.argv[2]))
print("busy", flush=True)
"x".find("y"); n = 3 ** 40_000_000  # one call that lets no other thread run for many seconds
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has to be given its turn")
def test_a_worker_inside_a_long_call_ends_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {BUSY!r}, "x", str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
grandchild = subprocess.Popen(["sleep", "60"], stdin=child.stdin)  # holds the other end of the pipe
child.stdout.readline()
print(child.pid, grandchild.pid, flush=True)
child.wait()
"""
    running = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=TOP)
    assert running.stdout is not None
    child, grandchild = map(int, running.stdout.readline().split())
    time.sleep(0.1)
    running.kill()
    running.wait()
    running.stdout.close()
    assert gone(child)
    os.kill(grandchild, signal.SIGKILL)


def test_a_worker_whose_parent_died_while_it_started_ends_at_once() -> None:
    script = "from crawler.process import end_with_parent; end_with_parent(1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=TOP, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_nothing_is_imported_from_the_working_folder(site: Flaky, tmp_path: Path) -> None:
    """Files that bear the names of our packages, of Scrapy and of the standard library; and a user's own PYTHONPATH."""
    work, own = tmp_path / "work", tmp_path / "own"
    own.mkdir()
    for name in ("crawler", "train", "scrapy", "json", "twisted", "tokenize_stage", "logging", "usercustomize"):
        (work / f"{name}.py").parent.mkdir(exist_ok=True)
        (work / f"{name}.py").write_text(f"raise SystemExit('{name} of the working folder')")
    (work / "pipeline").mkdir()
    (work / "pipeline" / "__init__.py").write_text("raise SystemExit('pipeline of the working folder')")
    (work / "scrapy.cfg").write_text("[settings]\ndefault = theirs.settings\n")
    launch = f"import sys; sys.path[:] = [p for p in sys.path if p] + [{str(TOP)!r}]; " \
             "from pipeline.cli.main import run_cli; sys.exit(run_cli())"  # fmt: skip
    done = subprocess.run([sys.executable, "-P", "-c", launch, *words(site, tmp_path / "c")[3:]], cwd=work,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(own)}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_users_python_path_still_works_and_cannot_hide_the_crawler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("value = 7")
    (tmp_path / "crawler.py").write_text("raise SystemExit('not this one')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}")
    made = environment()
    script = "import mine, crawler, sys; print(mine.value, crawler.__file__, '' in sys.path)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], env=made, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", str(TOP / "crawler" / "__init__.py"), "False"]
    assert command(tmp_path)[1:4] == ["-P", "-m", "crawler.worker"]
