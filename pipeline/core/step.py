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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline import __version__
from pipeline.core.dataset import MANIFEST, Dataset, Source, open_dataset
from pipeline.core.errors import BooksError, StepError, UsageError, WinnowError
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


@dataclass(frozen=True)
class Task:
    """One shard's work. `args` is the step's own frozen, picklable configuration."""

    step: str
    shard: int
    inputs: tuple[Source, ...]
    out: Path
    args: Any = None

    def file(self, folder: str, suffix: str = ".parquet") -> Path:
        return self.out / folder / f"{self.shard:05d}{suffix}"


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


class Progress(Protocol):
    """Told about every finished shard; quiet by default."""

    def start(self, step: str, total: int, done: int) -> None: ...
    def advance(self, record: dict[str, Any]) -> None: ...
    def finish(self) -> None: ...


class Quiet:
    def start(self, step: str, total: int, done: int) -> None: ...
    def advance(self, record: dict[str, Any]) -> None: ...
    def finish(self) -> None: ...


@dataclass(frozen=True)
class Workspace:
    """Where steps live: `root/<step>-<key8>`, or exactly `fixed` for the step that a user gave an `--out`."""

    root: Path
    fixed: Mapping[str, Path] = field(default_factory=dict)

    def dir(self, plan: Plan) -> Path:
        if plan.name in self.fixed:
            return self.fixed[plan.name]
        return self.root / f"{plan.name}-{plan.key}"


def run_step(
    plan: Plan,
    folder: Path,
    tasks: Sequence[Task],
    fn: Callable[[Task], ShardResult],
    executor: Executor,
    *,
    progress: Progress | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Dataset:
    """Run the shards that are not done, check the books, seal.

    Args:
        folder: the step's directory. Sealed with the same inputs: nothing runs.
        tasks: one per shard, numbered by `shard`.
        fn: importable function that writes a shard's files and returns its result.
        extra: further entries for the manifest.

    Raises: StepError naming the shard; BooksError if rows don't balance; UsageError if `folder` holds something else.
    """
    progress = progress or Quiet()
    claim(plan, folder)
    wanted = {t.shard: [s.identity() for s in t.inputs] for t in tasks}
    fingerprint = short_hash({"key": plan.key, "shards": {str(k): v for k, v in wanted.items()}}, 64)
    if (folder / MANIFEST).exists():
        sealed = open_dataset(folder)
        if sealed.manifest.get("inputs") == fingerprint:
            return sealed
        (folder / MANIFEST).unlink()
    sweep(folder)
    records = {t.shard: r for t in tasks if (r := _done(t)) is not None}
    todo = [t for t in tasks if t.shard not in records]
    progress.start(plan.name, len(tasks), len(records))
    try:
        for record in executor.run(_Shard(fn), todo):
            if "failed" in record:
                raise StepError(f"{plan.name}-{plan.key} shard {record['shard']}: {record['failed']}")
            records[record["shard"]] = record
            progress.advance(record)
    finally:
        progress.finish()
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


class _Shard:
    """Runs a shard function and writes its record; what goes wrong comes back as a record too."""

    def __init__(self, fn: Callable[[Task], ShardResult]) -> None:
        self.fn = fn

    def __call__(self, task: Task) -> dict[str, Any]:
        began, cpu = time.monotonic(), time.process_time()
        collecting = gc.isenabled()
        gc.disable()  # a shard makes many objects and hardly a cycle: a collection walks over all of them for nothing
        try:
            result = self.fn(task)
            record = {
                "shard": task.shard,
                "inputs": [s.identity() for s in task.inputs],
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


def _record_path(task: Task) -> Path:
    return task.file("shards", ".json")


def _done(task: Task) -> dict[str, Any] | None:
    path = _record_path(task)
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = read_json(path)
        same = record["inputs"] == [s.identity() for s in task.inputs]
        whole = all((task.out / n).stat().st_size == f["bytes"] for n, f in record["outputs"].items())
    except (ValueError, KeyError, OSError):
        return None
    return record if same and whole else None


def _remove_strangers(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Files of shards that are no longer part of the step (an input was taken away) go."""
    known = {n for r in records for n in r["outputs"]} | {f"shards/{r['shard']:05d}.json" for r in records}
    for path in folder.glob("*/[0-9][0-9][0-9][0-9][0-9].*"):
        if str(path.relative_to(folder)) not in known:
            path.unlink()
