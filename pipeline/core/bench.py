"""The bench: where results lie, who runs tasks, how much memory there is, who is told. Made once per command and passed as one
thing; `bench.step` is the only way to run a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.events import Listener, nobody
from pipeline.core.executor import Executor, SerialExecutor
from pipeline.core.hashes import Hashes
from pipeline.core.running import Care, run_step
from pipeline.core.seal import claim
from pipeline.core.step import Plan, ShardFunction, Task

Args = TypeVar("Args")
WORK = ".work"


@dataclass(frozen=True)
class Bench:
    """What a command works with.

    Attributes:
        root: steps lie in `root/<step>-<key8>`.
        executor: runs tasks.
        fixed: the folder of a step that a user gave an `--out`.
        work: where steps lie that nobody asked for by name: passes, matches, encoded texts; `root/.work` by default.
        memory: bytes that a sort may take before it spills; None for no limit.
        told: hears every event.
        hashes: what the command knows of the content of files.
        replace: results that were made from other inputs go; by default they are refused.
        made: steps that were run or found, in order. read: those that were their inputs.
    """

    root: Path
    executor: Executor = field(default_factory=SerialExecutor)
    fixed: Mapping[str, Path] = field(default_factory=dict)
    work: Path | None = None
    memory: int | None = None
    told: Listener = nobody
    hashes: Hashes = field(default_factory=Hashes)
    replace: bool = False
    made: list[Dataset] = field(default_factory=list, compare=False)
    read: list[Dataset] = field(default_factory=list, compare=False)

    @property
    def scratch(self) -> Bench:
        """The same bench for steps that lie in the work folder."""
        place = self.work or self.root / WORK
        return replace(self, root=place, work=place, fixed={})

    def dir(self, plan: Plan) -> Path:
        """Where a step lies, or will."""
        return self.fixed.get(plan.name) or step_dir(self.root, plan.name, plan.key)

    def claim(self, plan: Plan) -> Path:
        """The folder of a step, marked as its own, for a step that plans its shards there. Raises: UsageError if it holds
        another result."""
        claim(self.dir(plan), plan.name, plan.lineage(), plan.key, replace=self.replace)
        return self.dir(plan)

    def step(
        self,
        name: str,
        params: Mapping[str, Any],
        version: int,
        upstream: Sequence[Dataset],
        tasks: Sequence[Task[Args]],
        fn: ShardFunction[Args],
        *,
        files: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        once: bool = False,
    ) -> Dataset:
        """Run a step, or find it done.

        Args:
            params: what decides its output, JSON values.
            version: raised when the step's code gives other results.
            upstream: the steps that it reads.
            tasks: one per shard.
            fn: importable function that writes a shard's files.
            files: plug-ins, models, lists that it depends on: name -> sha256.
            extra: further entries for the manifest.
            once: what it makes cannot be made again: what is damaged of it stays, for the shard function to mend.

        Raises: as `pipeline.core.running.run_step`.
        """
        plan = Plan(name, params, version, files or {}, keys_of(upstream), once)
        return self.run(plan, tasks, fn, upstream, extra=extra)

    def run(
        self,
        plan: Plan,
        tasks: Sequence[Task[Args]],
        fn: ShardFunction[Args],
        upstream: Sequence[Dataset] = (),
        *,
        extra: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """The same for a step whose plan had to be known before its tasks."""
        self.read.extend(upstream)
        given = {d.step: d.content_of_shards() for d in upstream if not d.dir.resolve().is_relative_to(self.top)}
        care = Care(self.hashes, self.replace, given, {d.step: d.content for d in upstream})
        if plan.name in self.fixed:  # a result of its own says what it was made from; that of a run does it in run.json
            places = (d.dir.resolve() for d in self.made)
            work = {p.relative_to(self.top).as_posix() for p in places if p.is_relative_to(self.top / WORK)}
            extra = {**(extra or {}), "work": sorted(work)}
        made = run_step(plan, self.dir(plan), tasks, fn, self.executor, told=self.told, extra=extra, care=care)
        self.made.append(made)
        return made

    def damaged(self) -> list[Path]:
        """Files of the command's steps, and of those that it read, whose bytes are not what their manifests say; all are hashed.

        For an error that nobody expected: what looks like a bug may be a byte that the disk lost.
        """
        steps = {d.dir: d for d in [*self.made, *self.read]}.values()
        return Hashes(workers=self.hashes.workers).differ(
            (d.dir / n, sha) for d in steps for n, sha in d.file_hashes.items()
        )

    @property
    def top(self) -> Path:
        """The folder of everything that the command makes: what lies elsewhere was given to it."""
        place = self.root.resolve()
        return place.parent if place.name == WORK else place


def keys_of(upstream: Sequence[Dataset]) -> dict[str, str]:
    """Steps by name and key, as a plan takes them."""
    return {d.step: d.key for d in upstream}


def step_dir(root: Path, name: str, key: str) -> Path:
    """The folder of a step below a root."""
    return root / f"{name}-{key}"


def work_step(root: Path, name: str, key: str) -> Dataset | None:
    """A sealed step in the work folder of a run or of a command's `--out`, None if it is not there."""
    path = step_dir(root / WORK, name, key)
    return open_dataset(path) if is_dataset(path) else None
