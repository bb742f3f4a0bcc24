"""Content-keyed steps: what decides a step, one shard's work, and the books.

A step's key hashes its name, parameters, code version, the hashes of the files it depends on and the keys of the
steps before it. Paths, times, the number of workers and prose (comments, sources) are deliberately left out. A shard
is done when its record exists and names the hashes of its inputs; the manifest is written last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline.core.dataset import Source, shard_file
from pipeline.core.errors import BooksError
from pipeline.core.events import Fact, Listener, TaskNote, nobody
from pipeline.core.files import short_hash


@dataclass(frozen=True)
class Plan:
    """What decides a step's output."""

    name: str
    params: Mapping[str, Any]  # JSON values
    version: int = 1  # raised when the step's code gives other results
    files: Mapping[str, str] = field(default_factory=dict)  # plug-ins, models, lists: name -> sha256
    upstream: Mapping[str, str] = field(default_factory=dict)  # step name -> key
    once: bool = False  # what it makes cannot be made again (pages that were fetched): its shard function mends it

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
        unread: inputs that the task hashes before it uses them; filled in by the bench.
        told: who hears what the task tells; set by the executor, in the process where the task runs.
    """

    shard: int
    inputs: Inputs
    args: Args
    step: str = ""
    out: Path = Path()
    unread: tuple[Source, ...] = ()
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
