"""Content-keyed steps: what was done is never done again, and nothing is sealed unless the books balance.

A step's key hashes its name, parameters, code version, the hashes of the files it depends on and the keys of the
steps before it. Paths, times, the number of workers and prose (comments, sources) are deliberately left out. A shard
is done when its record exists and names the hashes of its inputs; the manifest is written last.
"""

from __future__ import annotations

import gc
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline import __version__
from pipeline.core.dataset import MANIFEST, Dataset, Source, open_dataset, shard_file, shard_of
from pipeline.core.errors import BooksError, StepError, UsageError, WinnowError
from pipeline.core.events import Fact, Listener, ShardDone, StepEnded, StepStarted, TaskNote, nobody
from pipeline.core.executor import Executor
from pipeline.core.files import read_json, sha256_file, short_hash, sweep, write_json


@dataclass(frozen=True)
class Plan:
    """What decides a step's output."""

    name: str
    params: Mapping[str, Any]  # JSON values
    version: int = 1  # raised when the step's code gives other results
    files: Mapping[str, str] = field(default_factory=dict)  # plug-ins, models, lists: name -> sha256
    upstream: Mapping[str, str] = field(default_factory=dict)  # step name -> key

    @property
    def key(self) -> str:
        return short_hash(self.lineage())

    def lineage(self) -> dict[str, Any]:
        return {
            "step": self.name,
            "params": dict(self.params),
            "version": self.version,
            "files": dict(self.files),
            "upstream": dict(self.upstream),
        }


MAX_NOTE_CHARS = 500  # with names, at most four bytes each, below the 4,096 bytes that a pipe takes in one piece
Args = TypeVar("Args")
Inputs = Mapping[str, tuple[Source, ...]]


@dataclass(frozen=True)
class Task(Generic[Args]):
    """One shard's work.

    Attributes:
        shard: its number in the step.
        inputs: what it reads, by name.
        args: the step's own frozen, picklable configuration.
        step, out: the step's name and folder; filled in by the bench.
        told: who hears what the task tells; set by the executor, in the process where the task runs.
    """

    shard: int
    inputs: Inputs
    args: Args
    step: str = ""
    out: Path = Path()
    told: Listener = field(default=nobody, repr=False, compare=False)

    def one(self, name: str) -> Source:
        """The only input of this name."""
        (source,) = self.inputs[name]
        return source

    def all(self, name: str) -> tuple[Source, ...]:
        """The inputs of this name; none if there is no such name."""
        return self.inputs.get(name, ())

    def file(self, folder: str, suffix: str = ".parquet") -> Path:
        """Where the shard's file of a sub-folder goes."""
        return shard_file(self.out / folder, self.shard, suffix)

    def other(self, folder: str, number: int, suffix: str = ".parquet") -> Path:
        """Where a file goes that is another shard's further on: a task that cuts its output anew."""
        return shard_file(self.out / folder, number, suffix)

    def tell(self, **facts: Fact) -> None:
        """Say how far the task is, to whoever shows progress. Raises: ValueError for more than a note (MAX_NOTE_CHARS)."""
        if sum(len(name) + len(str(value)) for name, value in facts.items()) > MAX_NOTE_CHARS:
            raise ValueError(f"a note of more than {MAX_NOTE_CHARS:,} characters: tell numbers and names, not texts")
        self.told(TaskNote(self.step, self.shard, facts))

    def identity(self) -> dict[str, list[list[Any]]]:
        return {name: [s.identity() for s in sources] for name, sources in self.inputs.items()}


class ShardFiles(Protocol):
    """Where the files of one shard go; a task is one."""

    @property
    def shard(self) -> int: ...

    def file(self, folder: str, suffix: str = ".parquet") -> Path: ...


@dataclass
class ShardResult:
    """What a shard function returns.

    Attributes:
        outputs: files written, with their row counts (None where rows mean nothing).
        counts: numbers to add up over shards. `rows_in`, `rows_out` and `dropped` (a number per gate) must balance.
        errors: recorded errors, a line each; they do not stop the step.
    """

    outputs: dict[Path, int | None]
    counts: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


ShardFunction = Callable[[Task[Args]], ShardResult]


def run_step(
    plan: Plan,
    folder: Path,
    tasks: Sequence[Task[Args]],
    fn: ShardFunction[Args],
    executor: Executor,
    *,
    told: Listener = nobody,
    extra: Mapping[str, Any] | None = None,
) -> Dataset:
    """Run the shards that are not done, check the books, seal. Called by `pipeline.core.bench.Bench` alone.

    Args:
        folder: the step's directory. Sealed with the same inputs: nothing runs.
        tasks: one per shard, numbered by `shard`.
        fn: importable function that writes a shard's files and returns its result.
        extra: further entries for the manifest.

    Raises: StepError naming the shard; BooksError if rows don't balance; UsageError if `folder` holds something else.
    """
    claim(plan, folder)
    tasks = [replace(t, step=plan.name, out=folder) for t in tasks]
    wanted = {str(t.shard): t.identity() for t in tasks}
    fingerprint = short_hash({"key": plan.key, "shards": wanted}, 64)
    if (folder / MANIFEST).exists():
        sealed = open_dataset(folder)
        if sealed.manifest.get("inputs") == fingerprint:
            return sealed
        (folder / MANIFEST).unlink()
    sweep(folder)
    records = {t.shard: r for t in tasks if (r := _done(t)) is not None}
    todo = [t for t in tasks if t.shard not in records]
    told(StepStarted(plan.name, len(tasks), len(records)))
    try:
        for record in executor.run(_Shard(fn), todo, told):
            if "failed" in record:
                raise StepError(f"{plan.name}-{plan.key} shard {record['shard']}: {record['failed']}")
            records[record["shard"]] = record
            told(ShardDone(plan.name, record["shard"], record["counts"].get("rows_in", 0)))
    finally:
        told(StepEnded(plan.name))
    ordered = [records[s] for s in sorted(records)]
    for record in ordered:
        balance(f"{plan.name}-{plan.key} shard {record['shard']}", record["counts"])
    _remove_strangers(folder, ordered)
    manifest = {
        "step": plan.name,
        "key": plan.key,
        "lineage": plan.lineage(),
        "inputs": fingerprint,
        "shards": [r["shard"] for r in ordered],
        "files": {n: f for r in ordered for n, f in r["outputs"].items()},
        "counts": add_counts([r["counts"] for r in ordered]),
        "errors": [f"shard {r['shard']}: {e}" for r in ordered for e in r["errors"]],
        "versions": {"winnow": __version__, "python": platform.python_version()},
        **(extra or {}),
    }
    balance(f"{plan.name}-{plan.key}", manifest["counts"])
    write_json(folder / MANIFEST, manifest)
    return Dataset(folder, manifest)


def claim(plan: Plan, folder: Path) -> None:
    """Mark a directory as this step's. Raises: UsageError if it belongs to another result."""
    marker = folder / "step.json"
    if marker.exists():
        held = read_json(marker)
        if held.get("key") != plan.key:
            raise UsageError(
                f"{folder}: holds another result ({held.get('step')}-{held.get('key')}, not {plan.name}-{plan.key}): "
                "choose another --out, or remove it."
            )
        return
    if folder.exists() and any(not p.name.startswith(".") for p in folder.iterdir()):
        raise UsageError(f"{folder}: exists and is not a winnow result: choose another --out.")
    write_json(marker, {"key": plan.key, **plan.lineage()})


def balance(where: str, counts: Mapping[str, Any]) -> None:
    """Rows in = rows out + drops, or BooksError."""
    if "rows_in" not in counts:
        return
    dropped = sum(counts.get("dropped", {}).values())
    if counts["rows_in"] != counts["rows_out"] + dropped:
        raise BooksError(
            f"{where}: books don't balance: {counts['rows_in']:,} in, {counts['rows_out']:,} out, {dropped:,} dropped. "
            "Not sealed; `winnow verify` names the shard, rerun to redo it."
        )


def add_counts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers added up, nested tables too."""
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, Mapping):
                total[name] = add_counts([total.get(name, {}), value])
            else:
                total[name] = total.get(name, 0) + value
    return total


class _Shard(Generic[Args]):
    """Runs a shard function and writes its record; what goes wrong comes back as a record too."""

    def __init__(self, fn: ShardFunction[Args]) -> None:
        self.fn = fn

    def __call__(self, task: Task[Args], told: Listener) -> dict[str, Any]:
        task = replace(task, told=told)
        began, cpu = time.monotonic(), time.process_time()
        collecting = gc.isenabled()
        gc.disable()  # a shard makes many objects and hardly a cycle: a collection walks over all of them for nothing
        try:
            result = self.fn(task)
            record = {
                "shard": task.shard,
                "inputs": task.identity(),
                "outputs": {
                    str(path.relative_to(task.out)): {
                        "sha256": sha256_file(path),
                        "bytes": path.stat().st_size,
                        "rows": rows,
                    }
                    for path, rows in sorted(result.outputs.items())
                },
                "counts": result.counts,
                "errors": result.errors,
                "seconds": round(time.monotonic() - began, 3),
                "cpu_seconds": round(time.process_time() - cpu, 3),
            }
            write_json(_record_path(task), record)
        except WinnowError as error:
            return {"shard": task.shard, "failed": str(error)}
        except OSError as error:
            return {"shard": task.shard, "failed": f"{error.strerror or error}: {error.filename or task.out}"}
        except Exception as error:  # noqa: BLE001 - it must name its shard, wherever it ran
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return {
                "shard": task.shard,
                "failed": f"{type(error).__name__}: {error} ({place}; a bug in winnow or a plug-in)",
            }
        finally:
            if collecting:
                gc.enable()
        return record


def record_file(shard: int) -> str:
    """Where the record of a shard lies in its step."""
    return shard_file("shards", shard, ".json").as_posix()


def _record_path(task: Task[Args]) -> Path:
    return task.out / record_file(task.shard)


def _done(task: Task[Args]) -> dict[str, Any] | None:
    path = _record_path(task)
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = read_json(path)
        same = record["inputs"] == task.identity()
        whole = all((task.out / n).stat().st_size == f["bytes"] for n, f in record["outputs"].items())
        whole &= all(name in record for name in ("shard", "counts", "errors"))
    except (ValueError, KeyError, TypeError, AttributeError, OSError):  # damaged: the shard is done again
        return None
    return record if same and whole else None


def _remove_strangers(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Files of shards that are no longer part of the step (an input was taken away) go."""
    known = {n for r in records for n in r["outputs"]}
    known |= {record_file(r["shard"]) for r in records}
    for path in folder.glob("*/*"):
        if shard_of(path) is not None and path.is_file() and str(path.relative_to(folder)) not in known:
            path.unlink()
