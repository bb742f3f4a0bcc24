"""Steps on a bench: inputs by name, what is done is found, events from any executor, an end at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.core.bench import Bench, work_step
from pipeline.core.dataset import Dataset, Source, shard_file, shard_of
from pipeline.core.errors import StepError, UsageError
from pipeline.core.events import Event, ShardDone, StepEnded, StepStarted, TaskNote
from pipeline.core.executor import Executor, make_executor
from pipeline.core.files import sha256_file, write_bytes
from pipeline.core.step import ShardResult, Task


@dataclass(frozen=True)
class JoinArgs:
    between: str


def join(task: Task[JoinArgs]) -> ShardResult:
    """`text/<n>`: what is in the inputs. Inputs: first, more."""
    parts = [task.one("first"), *task.all("more")]
    task.tell(parts=len(parts))
    path = task.file("text", ".txt")
    write_bytes(path, task.args.between.join(p.path.read_text() for p in parts).encode())
    return ShardResult({path: None}, {"rows_in": 1, "rows_out": 1})


def die_once(task: Task[JoinArgs]) -> ShardResult:
    """Kills its worker the first time."""
    mark = task.out.parent / f"met-{task.shard}"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return join(task)


def wrong(task: Task[JoinArgs]) -> ShardResult:
    raise KeyError("no such thing")


def source(path: Path, text: str) -> Source:
    path.write_text(text)
    return Source(path, sha256_file(path), path.name)


def tasks(folder: Path, between: str = " ") -> list[Task[JoinArgs]]:
    files = [source(folder / f"{name}.txt", name) for name in "abc"]
    return [Task(i, {"first": (files[i],), "more": tuple(files)}, JoinArgs(between)) for i in range(3)]


def text_of(made: Dataset, shard: int) -> str:
    return made.shard("text", shard, ".txt").path.read_text()


@pytest.fixture(params=[1, 2])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made = make_executor(request.param)
    yield made
    made.close()


def test_inputs_come_by_name_and_events_from_any_executor(tmp_path: Path, executor: Executor) -> None:
    heard: list[Event] = []
    bench = Bench(tmp_path / "steps", executor, told=heard.append)
    made = bench.step("join", {"between": " "}, 1, [], tasks(tmp_path), join)
    assert [text_of(made, i) for i in made.shards()] == ["a a b c", "b a b c", "c a b c"]
    assert heard[0] == StepStarted("join", 3, 0)
    assert [e for e in heard if isinstance(e, ShardDone)] == [ShardDone("join", i, 1) for i in range(3)]
    notes = [e for e in heard if isinstance(e, TaskNote)]
    assert sorted(n.shard for n in notes) == [0, 1, 2]
    assert {n.facts["parts"] for n in notes} == {4}
    assert StepEnded("join") in heard


def test_what_is_done_is_found_until_an_input_changes_its_name_or_content(tmp_path: Path) -> None:
    heard: list[Event] = []
    bench = Bench(tmp_path / "steps", told=heard.append)
    bench.step("join", {}, 1, [], tasks(tmp_path), join)
    heard.clear()
    bench.step("join", {}, 1, [], tasks(tmp_path), join)
    assert heard == []
    a, b, c = tasks(tmp_path)
    renamed = Task(0, {"first": a.inputs["first"], "more": (), "other": a.inputs["more"]}, a.args)
    made = bench.step("join", {}, 1, [], [renamed, b, c], join)
    assert [e for e in heard if isinstance(e, ShardDone)] == [ShardDone("join", 0, 1)]
    assert text_of(made, 0) == "a"


def test_a_killed_worker_is_replaced_and_its_task_runs_again(tmp_path: Path) -> None:
    executor = make_executor(2)
    made = Bench(tmp_path / "steps", executor).step("join", {}, 1, [], tasks(tmp_path)[:2], die_once)
    executor.close()
    assert [text_of(made, i) for i in (0, 1)] == ["a a b c", "b a b c"]


def test_a_failure_names_step_shard_and_place(tmp_path: Path, executor: Executor) -> None:
    with pytest.raises(StepError, match=r"join-[0-9a-f]{8} shard 0: KeyError: 'no such thing' \(test_bench.py:\d+"):
        Bench(tmp_path / "steps", executor).step("join", {}, 1, [], tasks(tmp_path), wrong)


def test_the_work_folder_and_a_fixed_place(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "run", fixed={"join": tmp_path / "here"})
    made = bench.step("join", {}, 1, [], tasks(tmp_path), join)
    assert made.dir == tmp_path / "here"
    scratch = bench.scratch.step("join", {}, 1, [], tasks(tmp_path), join)
    found = work_step(tmp_path / "run", "join", scratch.key)
    assert found is not None
    assert found.file_hashes == made.file_hashes
    assert work_step(tmp_path / "run", "join", "00000000") is None
    with pytest.raises(UsageError, match="holds another result"):
        bench.step("join", {"other": 1}, 1, [], tasks(tmp_path), join)


def test_names_of_shards_have_one_pattern() -> None:
    assert shard_file("data", 7).as_posix() == "data/00007.parquet"
    for number in (0, 7, 99_999):
        assert shard_of(shard_file("x", number, ".json")) == number
    assert [shard_of(Path(n)) for n in ("plan.json", "7.parquet", "x00007.parquet")] == [None] * 3


def test_all_that_a_task_tells_is_heard_before_its_step_ends(tmp_path: Path) -> None:
    heard: list[Event] = []
    executor = make_executor(2)
    bench = Bench(tmp_path / "steps", executor, told=heard.append)
    for number in range(3):
        heard.clear()
        bench.step("chat", {"number": number}, 1, [], tasks(tmp_path), chat)
        assert heard.index(StepEnded("chat")) == len(heard) - 1
        assert sum(isinstance(e, TaskNote) for e in heard) == 150
    executor.close()
    with pytest.raises(StepError, match="a note of more than 500 characters"):
        Bench(tmp_path / "steps").step("long", {}, 1, [], tasks(tmp_path), gossip)


def chat(task: Task[JoinArgs]) -> ShardResult:
    for i in range(50):
        task.tell(said=i)
    return ShardResult({})


def gossip(task: Task[JoinArgs]) -> ShardResult:
    task.tell(text="x" * 501)
    return ShardResult({})


def sleep(task: Task[JoinArgs]) -> ShardResult:
    (task.out.parent / f"pid-{task.shard}").write_text(str(os.getpid()))
    time.sleep(60)
    return ShardResult({})


STOPPED = """
import signal, sys
from pathlib import Path
from pipeline.core.bench import Bench
from pipeline.core.executor import make_executor
from tests.core.test_bench import sleep, tasks

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    here = Path(sys.argv[1])
    Bench(here / "steps", make_executor(2)).step("sleep", {}, 1, [], tasks(here), sleep)
"""


def test_stop_ends_running_tasks_at_once(tmp_path: Path) -> None:
    """Ctrl-C in the middle of long tasks, the workers included; a job in the background would ignore it."""
    (tmp_path / "go.py").write_text(STOPPED)
    top = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "go.py"), str(tmp_path)], cwd=top, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(top)},
    )  # fmt: skip
    marks = [tmp_path / "steps" / f"pid-{i}" for i in (0, 1)]
    until = time.monotonic() + 60
    while not all(m.exists() and m.read_text() for m in marks):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in errors
    for mark in marks:
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)
