"""Options that several commands share, and what they all do: open a session, print a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.core.errors import UsageError

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
RunPath = Annotated[Path, typer.Argument(help="Run directory (runs/NAME) or a finished step.")]


def open_session(
    recipe: Path | None,
    sets: list[str],
    workers: int | None,
    quiet: bool,
    fixed: dict[str, Path],
    work: Path | None = None,
    max_memory: str = "",
) -> Any:
    """The session of a command: recipe, workspace (`fixed` names the step that --out is for), executor, progress."""
    from pipeline.cli import stages
    from pipeline.cli.progress import Bars
    from pipeline.core.step import Workspace

    loaded = stages.load_recipe(recipe, sets)
    root = work or next(iter(fixed.values()))
    limits = stages.limits(workers, max_memory)
    return stages.Session(loaded, Workspace(root, fixed), limits.workers, Bars(quiet=quiet), limits.sorting)


def must_exist(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: no such file.")


def show_run(path: Path, as_json: bool) -> None:
    from pipeline.cli.show import show_stats
    from pipeline.look.run import open_run
    from pipeline.look.stats import stats as count

    found = count(open_run(path))
    print_json(found) if as_json else show_stats(found)


def print_step(step: Any, as_json: bool) -> None:
    if as_json:
        print_json({"dir": str(step.dir), "step": step.step, "key": step.key, "counts": step.counts})
    else:
        print(f"{step.step}-{step.key}: {step.dir}")
        print(json.dumps(step.counts))


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
