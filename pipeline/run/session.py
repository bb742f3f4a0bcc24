"""What a command opens: a recipe, a bench, documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, is_dataset, open_dataset
from pipeline.core.errors import UsageError
from pipeline.core.events import Listener, nobody
from pipeline.core.executor import make_executor
from pipeline.core.files import SCRATCH_LEVEL
from pipeline.core.hashes import Hashes
from pipeline.core.recipe import Recipe, load
from pipeline.run.limits import Limits
from pipeline.run.stages import sections

ONE_WORKER = Limits(1)


def load_recipe(path: Path | None, sets: Sequence[str], *, name: str = "command") -> Recipe:
    """A recipe, checked against the sections of all stages; None for an empty one. Raises: RecipeError."""
    return load(path, sections(), sets, name=name)


@contextmanager
def open_bench(
    root: Path,
    limits: Limits = ONE_WORKER,
    *,
    fixed: Mapping[str, Path] | None = None,
    told: Listener = nobody,
    hashes: Hashes | None = None,
    replace: bool = False,
    apart: bool = False,
) -> Iterator[Bench]:
    """The bench of a command; its workers end with the block, at once if the user says stop.

    Args:
        root: where steps lie.
        limits: how many processes, how much memory.
        fixed: the folder of a step that the user gave an `--out`.
        told: hears every event, in this thread.
        hashes: what is read back of files; what steps read by default.
        replace: results that were made from other inputs may go.
        apart: tasks run in other processes even with one worker: there is code of others in them.
    """
    executor = make_executor(limits.workers, apart=apart)
    try:
        known = hashes or Hashes(workers=limits.workers)
        yield Bench(root, executor, fixed or {}, memory=limits.sorting, told=told, hashes=known, replace=replace)
    except KeyboardInterrupt:
        executor.close(now=True)
        raise
    finally:
        executor.close()


def documents(recipe: Recipe, bench: Bench, inputs: Sequence[Path]) -> Dataset:
    """A dataset as it is, or any files after extraction into the work folder.

    Raises: UsageError for a dataset that holds no documents, or inputs that cannot be read.
    """
    if len(inputs) == 1 and is_dataset(inputs[0]):
        found = open_dataset(inputs[0])
        if found.manifest.get("kind") != "documents":
            raise UsageError(f"{inputs[0]}: holds {found.manifest.get('kind')}, not documents.")
        return found
    from pipeline.extract.step import extract

    return extract(recipe.section("extract"), bench.scratch, inputs=list(inputs), level=SCRATCH_LEVEL)
