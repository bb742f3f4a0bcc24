"""Options that several commands share, and what they all do: open a bench, print a result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.answers import print_answer, print_json
from pipeline.core.errors import DamagedInput, UsageError, WinnowError
from pipeline.text.visible import visible

if TYPE_CHECKING:
    from pipeline.core.bench import Bench
    from pipeline.core.dataset import Dataset
    from pipeline.core.recipe import Recipe

Inputs = Annotated[list[Path], typer.Argument(help="Datasets, or files or folders of WARC, WET, JSONL, Parquet.")]
Out = Annotated[Path, typer.Option("--out", help="Directory of the result.")]
Sets = Annotated[list[str], typer.Option("--set", help="Override one recipe value: section.name=value. Repeatable.")]
NO_SETS: list[str] = []  # Typer copies defaults
NO_PATHS: list[Path] = []
MaxMemory = Annotated[
    str,
    typer.Option("--max-memory", help="Bytes for all processes together, such as 4GiB; fewer workers, then spilling."),
]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; default: all cores.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RecipePath = Annotated[Path | None, typer.Option("--recipe", help="Recipe whose sections apply.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="A result of other inputs, or of other parameters, may go; refused otherwise.")
]
CheckHashes = Annotated[
    str,
    typer.Option(
        "--check",
        help="What is hashed: read (what a step reads, and what was touched), all (what is finished too), off (nothing).",
    ),
]
RunPath = Annotated[Path, typer.Argument(help="Run directory (runs/NAME) or a finished step.")]


@contextmanager
def opened(
    recipe: Path | None,
    sets: list[str],
    out: Mapping[str, Path],
    *,
    workers: int | None = 1,
    max_memory: str = "",
    quiet: bool = True,
    root: Path | None = None,
    holds: Path | None = None,
    replace: bool = False,
    check: str = "read",
) -> Iterator[tuple[Recipe, Bench]]:
    """The recipe and the bench of a command.

    Args:
        out: the step that `--out` is for, with its folder.
        quiet: nothing on stderr.
        root: where other steps lie; by default the folder of `out`, or without one a folder that goes with the command.
        holds: a file, or with `root` in it a folder, that is written as well: another command that does is refused.
        replace: results of other inputs may go. check: what is hashed.

    Raises: UsageError if another process writes the same.
    """
    from pipeline.cli.progress import Bars
    from pipeline.core.hashes import Hashes, check_named
    from pipeline.core.lock import lock
    from pipeline.run.limits import limits
    from pipeline.run.session import load_recipe, open_bench

    loaded = load_recipe(recipe, sets)
    allowed = limits(workers, max_memory)
    hashes = Hashes(check_named(check), allowed.workers)
    bars = Bars(quiet=quiet)
    with ExitStack() as stack:
        for folder in out.values():
            stack.enter_context(lock(folder))
        if holds is not None:
            stack.enter_context(lock(holds, file=root is None or holds not in root.parents))
        place = root or next(iter(out.values()), None)
        place = place or Path(stack.enter_context(TemporaryDirectory(prefix="winnow-")))
        opening = open_bench(
            place, allowed, fixed=out, told=bars, hashes=hashes, replace=replace, apart=bool(loaded.plugins)
        )
        bench = stack.enter_context(opening)
        try:
            yield loaded, bench
        except Exception as error:
            found = error if isinstance(error, DamagedInput) else None
            if not isinstance(error, WinnowError) and (bad := bench.damaged()):
                found = DamagedInput("the command", bad)
            if found is None:
                raise
            for path in found.paths:
                if path.resolve().is_relative_to(bench.top):  # of this command's own work: it is made again next time
                    path.unlink(missing_ok=True)
            raise found from error


def must_exist(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: no such file.")


def show_run(path: Path, as_json: bool) -> None:
    from pipeline.look.run import open_run
    from pipeline.look.stats import stats as count

    print_answer(count(open_run(path)), as_json)


def print_step(step: Dataset, as_json: bool) -> None:
    if as_json:
        print_json({"dir": str(step.dir), "step": step.step, "key": step.key, "counts": step.counts})
    else:
        print(visible(f"{step.step}-{step.key}: {step.dir}"))
        print(json.dumps(step.counts))
