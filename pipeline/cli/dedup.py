"""`winnow dedup`: copies alone, an index of earlier documents, a forecast, and a calibration of the bands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.cli.options import (
    NO_SETS,
    AsJson,
    Inputs,
    MaxMemory,
    Out,
    RecipePath,
    Sets,
    Workers,
    open_session,
    print_json,
    print_step,
)  # fmt: skip


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
    as_json: AsJson = False,
) -> None:
    """Remove exact and near copies, alone. A forecast of time, memory and disk comes first."""
    from pipeline.cli.show_dedup import forecast_line
    from pipeline.matching.forecast import forecast

    given = [GATES, *([f'curate.index="{index.resolve()}"'] if index else []), *sets]
    with open_session(None, given, workers, as_json, {"curate": out}, max_memory=max_memory) as session:
        documents = session.documents(inputs)
        session.bars.say(forecast_line(forecast(session.curation(), documents, session.workers)))
        print_step(session.curate(documents), as_json)


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
    from tempfile import TemporaryDirectory

    from pipeline.cli.show_dedup import show_forecast
    from pipeline.matching.forecast import forecast

    given = sets if recipe else [GATES, *sets]
    with (
        TemporaryDirectory(prefix="winnow-") as work,
        open_session(recipe, given, workers, True, {}, Path(work), max_memory) as session,
    ):
        found = forecast(session.curation(), session.documents(inputs), session.workers)
    print_json(found) if as_json else show_forecast(found)


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

    from pipeline.matching.index import grow_index

    given = sets if recipe else [GATES, *sets]
    with open_session(recipe, given, workers, as_json, {}, out / ".work", max_memory) as session:
        documents = session.documents(inputs)
        added = grow_index(
            out,
            session.curation(),
            documents,
            session.work,
            session.executor,
            memory=session.memory,
            progress=session.bars,
        )
    shutil.rmtree(out / ".work")
    print_json(added) if as_json else print(
        "\n".join(
            f"{name}: {n['documents']:,} documents added, {n['kept']:,} of them no copies" for name, n in added.items()
        )
    )


@dedup_app.command("remove")
def dedup_remove(
    index: Annotated[Path, typer.Argument(help="Folder of the index.")],
    targets: Annotated[list[str], typer.Argument(help="URLs, or doc_ids of 32 hex digits.")],
    as_json: AsJson = False,
) -> None:
    """Take documents out of an index, with those that were dropped as their copies."""
    from pipeline.matching.index import remove_documents

    done = remove_documents(index, targets)
    print_json(done) if as_json else print(
        "\n".join(f"{name}: {n['named']:,} removed, and {n['followers']:,} copies of them" for name, n in done.items())
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
    from tempfile import TemporaryDirectory

    from pipeline.cli.show_dedup import show_calibration
    from pipeline.matching.calibrate import calibrate

    given = sets if recipe else [GATES, *sets]
    with (
        TemporaryDirectory(prefix="winnow-") as work,
        open_session(recipe, given, workers, True, {}, Path(work)) as session,
    ):
        found = calibrate(session.curation(), session.documents(inputs), limit=documents)
    print_json(found) if as_json else show_calibration(found)
