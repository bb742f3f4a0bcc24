"""`winnow dedup`: copies alone, an index of earlier documents, a forecast, and a calibration of the bands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.cli.answers import print_answer, print_json
from pipeline.cli.options import (
    NO_SETS,
    AsJson,
    CheckHashes,
    Inputs,
    MaxMemory,
    Out,
    RecipePath,
    Replace,
    Sets,
    Workers,
    opened,
    print_step,
)  # fmt: skip
from pipeline.text.visible import visible


class DefaultRun(TyperGroup):
    """`winnow dedup IN --out DIR` means `winnow dedup run IN --out DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


dedup_app = typer.Typer(cls=DefaultRun, no_args_is_help=True, help="Remove exact and near copies.")
GATES = 'curate.gates=["exact", "minhash"]'
IndexOut = Annotated[Path, typer.Option("--out", help="Folder of the index; what is there already is grown.")]


@dedup_app.command("run")
def dedup_run(
    inputs: Inputs,
    out: Out,
    index: Annotated[
        Path | None, typer.Option("--index", help="Also leave out what this index of earlier documents has.")
    ] = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Remove exact and near copies, alone. A forecast of time, memory and disk comes first."""
    from pipeline.cli.show.copies import forecast_line
    from pipeline.core.events import Said
    from pipeline.curate.build import curation_of
    from pipeline.curate.step import curate
    from pipeline.matching.forecast import forecast
    from pipeline.run.session import documents

    given = [GATES, *([f'curate.index="{index.resolve()}"'] if index else []), *sets]
    with opened(
        None,
        given,
        {"curate": out},
        workers=workers,
        max_memory=max_memory,
        quiet=as_json,
        replace=replace,
        check=check,
    ) as (recipe, bench):
        read, gates = documents(recipe, bench, inputs), curation_of(recipe)
        bench.told(Said("forecast", forecast_line(forecast(gates.matches, read, bench.executor.workers))))
        print_step(curate(gates, read, bench), as_json)


@dedup_app.command("forecast")
def dedup_forecast(
    inputs: Inputs,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Time, memory and disk that removing copies will take, measured on a sample of the documents."""
    from pipeline.curate.build import curation_of
    from pipeline.matching.forecast import forecast
    from pipeline.run.session import documents

    with opened(recipe, _gates(recipe, sets), {}, workers=workers, max_memory=max_memory) as (loaded, bench):
        found = forecast(curation_of(loaded).matches, documents(loaded, bench, inputs), bench.executor.workers)
    print_answer(found, as_json)


@dedup_app.command("index")
def dedup_index(
    inputs: Inputs,
    out: IndexOut,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Add documents to an index, which later crawls are matched against: `[curate] index = "DIR"`."""
    import shutil

    from pipeline.core.bench import WORK
    from pipeline.curate.build import curation_of
    from pipeline.curate.grow import grow_index
    from pipeline.run.session import documents

    work = out / WORK
    with opened(
        recipe, _gates(recipe, sets), {}, workers=workers, max_memory=max_memory, quiet=as_json, root=work, holds=out
    ) as (loaded, bench):
        try:
            read = documents(loaded, bench, inputs)
            added = grow_index(out, curation_of(loaded), read, bench)
        finally:
            bench.executor.close(now=True)  # nobody writes there any more
            shutil.rmtree(work, ignore_errors=True)  # there are texts in it
    print_json(added) if as_json else print(
        "\n".join(
            f"{visible(name)}: {n['documents']:,} documents added, {n['kept']:,} of them no copies"
            for name, n in added.items()
        )
    )


@dedup_app.command("remove")
def dedup_remove(
    index: Annotated[Path, typer.Argument(help="Folder of the index.")],
    targets: Annotated[list[str], typer.Argument(help="URLs, or doc_ids of 32 hex digits.")],
    as_json: AsJson = False,
) -> None:
    """Take documents out of an index, with those that were dropped as their copies."""
    from pipeline.matching.removal import remove_documents

    done = remove_documents(index, targets)
    print_json(done) if as_json else print(
        "\n".join(
            f"{visible(name)}: {n['named']:,} removed, and {n['followers']:,} copies of them"
            for name, n in done.items()
        )
    )


@dedup_app.command("calibrate")
def dedup_calibrate(
    inputs: Inputs,
    documents: Annotated[int, typer.Option("--documents", help="Documents to look at, spread over all.")] = 100_000,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Measure on your own documents what the bands of `minhash` find and miss, and suggest others."""
    from pipeline.curate.build import curation_of
    from pipeline.matching.calibrate import calibrate
    from pipeline.run.session import documents as read

    with opened(recipe, _gates(recipe, sets), {}, workers=workers) as (loaded, bench):
        found = calibrate(curation_of(loaded).matches, read(loaded, bench, inputs), limit=documents)
    print_answer(found, as_json)


def _gates(recipe: Path | None, sets: list[str]) -> list[str]:
    """Without a recipe, exact and near copies."""
    return sets if recipe else [GATES, *sets]
