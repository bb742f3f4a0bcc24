"""Running a step: what was done is never done again, and nothing is sealed unless the books balance.

What a step reads is hashed before it is used, once per command: by the task, where it alone reads a file, else before the
tasks begin. What is finished is looked at, and what is damaged in it is done again.
"""

from __future__ import annotations

import gc
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic

from pipeline import __version__
from pipeline.core import seal
from pipeline.core.dataset import MANIFEST, Dataset, Source
from pipeline.core.errors import DamagedInput, DiskFull, StepError, WinnowError
from pipeline.core.events import Listener, Said, ShardDone, StepEnded, StepStarted, nobody
from pipeline.core.executor import Executor
from pipeline.core.files import disk_full, sha256_file, short_hash, sweep, write_sealed
from pipeline.core.hashes import Hashes
from pipeline.core.lock import lock
from pipeline.core.step import Args, Plan, ShardFunction, Task, add_counts, balance


@dataclass(frozen=True)
class Care:
    """How a step treats what is there.

    Attributes:
        hashes: what is known of files, and what is to be looked at.
        replace: a result that was made from other inputs goes.
        given: shards of the datasets that a user named, by step and number, as hashes: a result that was made from some of them
            grows, one that was made from others is refused.
        reads: content of the steps that it reads, by name.
    """

    hashes: Hashes = field(default_factory=Hashes)
    replace: bool = False
    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)


def run_step(
    plan: Plan,
    folder: Path,
    tasks: Sequence[Task[Args]],
    fn: ShardFunction[Args],
    executor: Executor,
    *,
    told: Listener = nobody,
    extra: Mapping[str, Any] | None = None,
    care: Care | None = None,
) -> Dataset:
    """Run the shards that are not done, check the books, seal. Called by `pipeline.core.bench.Bench` alone.

    Args:
        folder: the step's directory. Sealed with the same inputs and whole: nothing runs.
        tasks: one per shard, numbered by `shard`.
        fn: importable function that writes a shard's files and returns its result.
        extra: further entries for the manifest.

    Raises: StepError naming the shard; BooksError if rows don't balance; UsageError if `folder` holds something else, or
        another process works in it; DamagedInput if what it reads is not what was recorded; DiskFull.
    """
    care = care or Care()
    with lock(folder):
        seal.claim(folder, plan.name, plan.lineage(), plan.key, replace=care.replace)
        tasks = [replace(t, step=plan.name, out=folder) for t in tasks]
        wanted = {str(t.shard): t.identity() for t in tasks}
        fingerprint = short_hash({"key": plan.key, "shards": wanted}, 64)
        sealed = seal.opened(folder)
        if sealed is not None:
            if not care.replace:
                seal.refuse_other_inputs(folder, sealed.manifest.get("given", {}), care.given)
            if sealed.manifest.get("inputs") == fingerprint and _whole(sealed, plan, wanted, care, told):
                return _reading(sealed, care.reads)
        (folder / MANIFEST).unlink(missing_ok=True)
        sweep(folder)
        found = ((t, seal.done(folder, t.shard, t.identity(), care.hashes)) for t in tasks)
        records = {t.shard: r for t, r in found if r is not None}
        _run_shards(plan, tasks, records, fn, executor, care, told)
        ordered = [records[s] for s in sorted(records)]
        for record in ordered:
            balance(f"{plan.name}-{plan.key} shard {record['shard']}", record["counts"])
        seal.remove_strangers(folder, ordered)
        sweep(folder)  # of workers that were killed on the way
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
            "reads": dict(care.reads),
            "beside": [seal.PLAN] if (folder / seal.PLAN).exists() else [],
            **({"given": care.given} if care.given else {}),
            **(extra or {}),
        }
        balance(f"{plan.name}-{plan.key}", manifest["counts"])
        write_sealed(folder / MANIFEST, manifest)
        return Dataset(folder, manifest)


def _whole(step: Dataset, plan: Plan, inputs: Mapping[str, Any], care: Care, told: Listener) -> bool:
    """Whether a sealed step is as it was; what is damaged goes, so that its shards are done again.

    What cannot be made again stays for its shard function to mend, unless all of it may be replaced.
    """
    bad = seal.damage(step, care.hashes)
    if bad and len(step.shards()) == 1 and set(bad) == {seal.record_file(step.shards()[0])}:
        seal.remake_record(step, inputs[str(step.shards()[0])])
        told(Said(plan.name, f"{step.dir}: {_lines(bad)}: written again"))
        return True
    if bad and plan.once and care.replace:
        seal.clear(step.dir)
        seal.claim(step.dir, plan.name, plan.lineage(), plan.key)
    elif bad and plan.once:
        told(Said(plan.name, f"{step.dir}: {_lines(bad)}: mended"))
        for shard in step.shards():
            (step.dir / seal.record_file(shard)).unlink(missing_ok=True)
    elif bad:
        told(Said(plan.name, f"{step.dir}: {_lines(bad)}: done again"))
        for name in bad:
            (step.dir / name).unlink(missing_ok=True)
    return not bad


def _reading(step: Dataset, reads: Mapping[str, str]) -> Dataset:
    """The step as one that reads these: what it took from them is the same, even if other files of theirs are not."""
    if step.manifest.get("reads") == dict(reads):
        return step
    manifest = step.manifest | {"reads": dict(reads)}
    write_sealed(step.dir / MANIFEST, manifest)
    return Dataset(step.dir, manifest)


def _lines(bad: Mapping[str, str]) -> str:
    return seal.listed([f"{name}: {what}" for name, what in bad.items()])


def _run_shards(
    plan: Plan,
    tasks: Sequence[Task[Args]],
    records: dict[int, seal.Record],
    fn: ShardFunction[Args],
    executor: Executor,
    care: Care,
    told: Listener,
) -> None:
    """Run the tasks that have no record yet."""
    name = f"{plan.name}-{plan.key}"
    told(StepStarted(plan.name, len(tasks), len(records)))
    try:
        todo = _with_unread(name, [t for t in tasks if t.shard not in records], care.hashes)
        by_shard = {t.shard: t for t in todo}
        for record in executor.run(_Shard(fn), todo, told):
            if "damaged" in record:
                raise DamagedInput(name, [Path(p) for p in record["damaged"]])
            if "full" in record:
                raise DiskFull(f"{name} shard {record['shard']}: {record['full']}")
            if "failed" in record:
                raise StepError(f"{name} shard {record['shard']}: {record['failed']}")
            records[record["shard"]] = record
            task = by_shard[record["shard"]]
            for source in task.unread:
                care.hashes.note(source.path, source.sha256)
            for file, entry in record["outputs"].items():
                care.hashes.note(task.out / file, entry["sha256"])
            told(ShardDone(plan.name, record["shard"], record["counts"].get("rows_in", 0)))
    finally:
        told(StepEnded(plan.name))


def _with_unread(name: str, tasks: Sequence[Task[Args]], hashes: Hashes) -> list[Task[Args]]:
    """Tasks that know which inputs they hash themselves: those that no other task reads.

    Raises: DamagedInput for others, which are hashed here, once.
    """
    if hashes.check == "off":
        return list(tasks)
    inputs = [{s.path: s for sources in t.inputs.values() for s in sources} for t in tasks]
    readers = Counter(path for mine in inputs for path in mine)
    shared = {path: mine[path].sha256 for mine in inputs for path in mine if readers[path] > 1}
    if bad := hashes.differ((path, sha) for path, sha in shared.items() if not hashes.knows(path, sha)):
        raise DamagedInput(name, bad)
    return [
        replace(t, unread=tuple(s for p, s in mine.items() if readers[p] == 1 and not hashes.knows(p, s.sha256)))
        for t, mine in zip(tasks, inputs, strict=True)
    ]


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
            if damaged := [str(s.path) for s in task.unread if not _is_read(s)]:
                return {"shard": task.shard, "damaged": damaged}
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
            seal.write_record(task.out, record)
        except Exception as error:  # noqa: BLE001 - it must name its shard, wherever it ran
            if (full := disk_full(error, task.out)) is not None:
                return {"shard": task.shard, "full": str(full)}
            if isinstance(error, WinnowError):
                return {"shard": task.shard, "failed": str(error)}
            if isinstance(error, OSError):
                return {"shard": task.shard, "failed": f"{error.strerror or error}: {error.filename or task.out}"}
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


def _is_read(source: Source) -> bool:
    try:
        return sha256_file(source.path) == source.sha256
    except OSError:
        return False
