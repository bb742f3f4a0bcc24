"""`winnow tokenizer`, `winnow tokenize`, `winnow export`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    NO_PATHS,
    NO_SETS,
    AsJson,
    Inputs,
    MaxMemory,
    Out,
    RecipePath,
    Sets,
    Workers,
    must_exist,
    open_session,
    print_json,
    print_step,
)  # fmt: skip

tokenizer_app = typer.Typer(no_args_is_help=True, help="Train and compare tokenizers.")


@tokenizer_app.command("train")
def tokenizer_train(
    inputs: Inputs,
    out: Out,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Train a tokenizer; --out names the tokenizer.json. `--set tokenize.kind=word` (or char) for comparison."""
    work = out.parent / f".{out.name}.work"
    with open_session(recipe, sets, workers, as_json, {}, work, max_memory) as session:
        made = session.tokenizer(session.documents(inputs))
        shutil.copyfile(made.dir / "tokenizer" / "00000.json", out)
        print_step(made, as_json)


@tokenizer_app.command("eval")
def tokenizer_eval(
    inputs: Inputs,
    tokenizers: Annotated[
        list[Path], typer.Option("--tokenizer", help="A tokenizer.json. Repeatable: they stand side by side.")
    ] = NO_PATHS,
    megabytes: Annotated[float, typer.Option("--megabytes", help="Text to look at, spread over all.")] = 50.0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also as JSON; a run directory puts it into its report.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compression, fertility, unused and unreachable entries, speed of tokenizers on your texts, side by side."""
    from tempfile import TemporaryDirectory

    from pipeline.core.errors import UsageError
    from pipeline.core.files import write_json
    from tokenize_stage.evaluate import evaluate

    if not tokenizers:
        raise UsageError("give at least one --tokenizer.")
    for path in tokenizers:
        must_exist(path)
    with TemporaryDirectory(prefix="winnow-") as work, open_session(None, [], 1, True, {}, Path(work)) as session:
        found = evaluate(session.documents(inputs), tokenizers, max_bytes=int(megabytes * 1e6))
    if out is not None:
        write_json(out / "tokenizers.json" if out.is_dir() else out, found)
    if as_json:
        print_json(found)
    else:
        from pipeline.cli.show_tokens import show_evaluation

        show_evaluation(found)


def tokenize(
    inputs: Inputs,
    out: Out,
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="A tokenizer.json.")],
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Encode, mix, shuffle and pack documents into Parquet token shards."""
    must_exist(tokenizer)
    with open_session(recipe, sets, workers, as_json, {"tokenize": out}, max_memory=max_memory) as session:
        print_step(session.tokenize(session.documents(inputs), tokenizer), as_json)


def export(
    path: Annotated[Path, typer.Argument(help="Run directory, or a directory of token shards.")],
    out: Out,
    form: Annotated[
        str,
        typer.Option("--format", help="nanogpt, megatron, datatrove, hf, mds or litdata (the last two are extras)."),
    ],
    as_json: AsJson = False,
) -> None:
    """Write token shards in the format of another trainer."""
    from pipeline.look.run import open_run
    from tokenize_stage.export import export as write

    done = write(open_run(path).need("tokenize"), form, out)
    if as_json:
        print_json(done)
        return
    what = "documents" if "documents" in done else "rows"
    print(f"{form}: {done[what]:,} {what}, {done['tokens']:,} tokens in {len(done['files'])} files in {out}")
