"""Commands around a run: its report, its check, its export, and the kernels' cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.answers import print_answer, print_json
from pipeline.cli.options import NO_SETS, AsJson, CheckHashes, Out, Replace, RunPath, opened
from pipeline.text.visible import visible


def compile_kernels() -> None:
    """Compile all kernels now rather than in the first run; a minute or two, once."""
    from pipeline.run.compile import compile_all

    began = time.monotonic()
    compile_all()
    print(f"compiled kernels are in place ({time.monotonic() - began:.0f} s)")


def export(
    path: Annotated[Path, typer.Argument(help="Run directory, or a directory of token shards.")],
    out: Out,
    form: Annotated[
        str,
        typer.Option("--format", help="nanogpt, megatron, datatrove, hf, mds or litdata (the last two are extras)."),
    ],
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Write token shards in the format of another trainer."""
    from pipeline.look.run import open_run
    from tokenize_stage.export import export as write

    tokens = open_run(path).need("tokenize")
    with opened(None, NO_SETS, {"export": out}, quiet=as_json, replace=replace, check=check) as (_, bench):
        done = write(tokens, form, out, bench)
    if as_json:
        print_json(done)
        return
    what = "documents" if "documents" in done else "rows"
    print(
        f"{form}: {done[what]:,} {what}, {done['tokens']:,} tokens in {len(done['files'])} files in {visible(str(out))}"
    )


def report(run_path: RunPath, out: Annotated[Path | None, typer.Option("--out", help="HTML file.")] = None) -> None:
    """Write one self-contained HTML file about a run."""
    from pipeline.core.lock import lock
    from pipeline.look.damage import looking
    from pipeline.report.build import write_report
    from pipeline.run.run import REPORT, note_report

    place = out or run_path / REPORT
    inside = place.parent.resolve() == run_path.resolve() and run_path.is_dir()
    with lock(run_path) if inside else lock(place, file=True), looking(run_path):
        written = write_report(run_path, place)
        if inside:
            note_report(run_path)
    print(visible(str(written)))


def verify(run_path: RunPath, as_json: AsJson = False) -> None:
    """Check hashes, rows and books of every step of a run, and that nothing is there that no manifest names."""
    from pipeline.look.verify import verify_folder

    found = verify_folder(run_path)
    print_answer(found, as_json)
    if not found.whole:
        raise typer.Exit(1)
