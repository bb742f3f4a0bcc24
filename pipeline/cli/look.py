"""Commands that look at a run, or at any file."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.answers import print_answer
from pipeline.cli.options import NO_SETS, AsJson, RunPath, Sets, show_run
from pipeline.core.lock import lock


def stats(
    run_path: RunPath,
    signal: Annotated[str, typer.Option("--signal", help="Histogram of one signal instead.")] = "",
    near: Annotated[
        float | None, typer.Option("--near", help="With --signal: documents nearest to this value.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="With --signal: documents on each side of --near.")] = 0,
    rules: Annotated[
        bool, typer.Option("--rules", help="What each rule alone drops, and which rules overlap.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Funnel, hosts, languages, tokens and model of a run; the histogram of a signal; or how rules work together."""
    from pipeline.look.damage import looking
    from pipeline.look.near import nearest
    from pipeline.look.rules import rule_table
    from pipeline.look.run import open_run
    from pipeline.look.stats import histogram

    with looking(run_path):
        if rules:
            print_answer(rule_table(open_run(run_path)), as_json)
        elif signal and (near is not None or samples):
            print_answer(nearest(open_run(run_path), signal, near, samples or 5), as_json)
        elif signal:
            print_answer(histogram(open_run(run_path), signal), as_json)
        else:
            show_run(run_path, as_json)


def inspect(
    path: Annotated[
        Path, typer.Argument(help="Any step, run, Parquet, WARC or JSONL file; or the word clusters, then a run.")
    ],
    run_path: Annotated[Path | None, typer.Argument(help="After clusters: run directory or finished step.")] = None,
    target: Annotated[str, typer.Argument(help="After clusters: only the one of this URL or doc_id.")] = "",
    rows: Annotated[int, typer.Option("--rows", help="Rows, or clusters, to show.")] = 5,
    gate: Annotated[str, typer.Option("--gate", help="After clusters: only what this match dropped.")] = "",
    html: Annotated[Path | None, typer.Option("--html", help="After clusters: also as a page, side by side.")] = None,
    tokenizer: Annotated[Path | None, typer.Option("--tokenizer", help="Decodes token shards outside a run.")] = None,
    step: Annotated[
        int, typer.Option("--step", help="Of a run or token shards: the documents in this step's batch.")
    ] = 0,
    batch_rows: Annotated[int, typer.Option("--batch-rows", help="With --step: rows of a step, if no model says.")] = 0,
    as_json: AsJson = False,
) -> None:
    """A glance into any file or step that winnow reads or writes, or at clusters of copies."""
    from pipeline.core.files import write_bytes
    from pipeline.look.clusters import clusters
    from pipeline.look.damage import looking
    from pipeline.look.inspect import inspect as look
    from pipeline.look.run import open_run
    from pipeline.report.copies import copies_page

    if str(path) == "clusters" and run_path is not None:
        with looking(run_path):
            copies = clusters(open_run(run_path), gate=gate, target=target, rows=rows)
        if html is not None:
            with lock(html, file=True):
                write_bytes(html, copies_page(copies, f"Copies in {run_path.name}").encode())
        print_answer(copies, as_json)
        return
    if step:
        from pipeline.look.tokens import batch_of_step

        with looking(path):
            batch = batch_of_step(path, step, batch_rows=batch_rows)
        print_answer(batch, as_json)
        return
    found = look(path, rows=rows, tokenizer=tokenizer)
    print_answer(found, as_json)


def explain(
    run_path: RunPath,
    target: Annotated[str, typer.Argument(help="URL, or a doc_id of 32 hex digits.")],
    as_json: AsJson = False,
) -> None:
    """The whole life of a URL: why it is in the data, or why not."""
    from pipeline.look.damage import looking
    from pipeline.look.explain import explain as life
    from pipeline.look.run import open_run

    with looking(run_path):
        found = life(open_run(run_path), target)
    print_answer(found, as_json)


def whatif(run_path: RunPath, sets: Sets = NO_SETS, as_json: AsJson = False) -> None:
    """What other bounds would have decided: --set GATE.REASON.min=VALUE."""
    from pipeline.look.damage import looking
    from pipeline.look.run import open_run
    from pipeline.look.whatif import whatif as ask

    with looking(run_path):
        found = ask(open_run(run_path), sets)
    print_answer(found, as_json)


def representation(run_path: RunPath, as_json: AsJson = False) -> None:
    """What curation removed by identity term, dialect, language and host, beside the rate of all documents."""
    from pipeline.look.damage import looking
    from pipeline.look.representation import representation as measure
    from pipeline.look.run import open_run

    with looking(run_path):
        found = measure(open_run(run_path))
    print_answer(found, as_json)


def contamination(
    run_path: RunPath,
    sets: Annotated[list[Path], typer.Argument(help="The evaluation sets of the recipe: files or folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the clean and the seen part of each set.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which items of evaluation sets occur in which documents, and the clean subset of each set."""
    from pipeline.look.contamination import contamination as look
    from pipeline.look.damage import looking
    from pipeline.look.run import open_run

    with looking(run_path), lock(out) if out is not None else nullcontext():
        found = look(open_run(run_path), sets, out=out)
    print_answer(found, as_json)
