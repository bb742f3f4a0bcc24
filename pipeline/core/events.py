"""What happens while steps run, as plain records that any executor can carry to whoever shows or logs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Fact = int | float | str


@dataclass(frozen=True)
class StepStarted:
    """`done` of the step's shards were finished before."""

    step: str
    shards: int
    done: int


@dataclass(frozen=True)
class ShardDone:
    """`rows` that the shard read, 0 where rows mean nothing."""

    step: str
    shard: int
    rows: int


@dataclass(frozen=True)
class StepEnded:
    """Sealed, or given up."""

    step: str


@dataclass(frozen=True)
class TaskNote:
    """What a task tells of itself while it runs: pages of a crawl, the loss of a training step."""

    step: str
    shard: int
    facts: Mapping[str, Fact]


@dataclass(frozen=True)
class Said:
    """A line for people about a step."""

    step: str
    text: str


Event = StepStarted | ShardDone | StepEnded | TaskNote | Said
Listener = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Listens to nothing."""
