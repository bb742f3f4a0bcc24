"""Commands that make something: a whole run, or one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

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
    must_exist,
    opened,
    print_step,
    show_run,
)  # fmt: skip
from pipeline.run import stages


def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe file.")],
    sets: Sets = NO_SETS,
    runs: Annotated[Path, typer.Option("--runs", help="Where run directories are made.")] = Path("runs"),
    first: Annotated[str, typer.Option("--from", help="First stage.")] = stages.names()[0],
    last: Annotated[str, typer.Option("--to", help="Last stage.")] = stages.names()[-1],
    only: Annotated[str, typer.Option("--only", help="One stage alone.")] = "",
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    from pipeline.cli.progress import Bars
    from pipeline.core.hashes import Hashes, check_named
    from pipeline.run.limits import limits
    from pipeline.run.run import run_recipe
    from pipeline.run.session import load_recipe

    loaded = load_recipe(recipe, sets)
    allowed = limits(workers, max_memory)
    told = Bars(quiet=as_json)
    root = run_recipe(
        loaded, runs, limits=allowed, told=told, first=only or first, last=only or last,
        hashes=Hashes(check_named(check), allowed.workers), replace=replace,
    )  # fmt: skip
    show_run(root, as_json)


run.__doc__ = f"Run a recipe: {', '.join(stages.names())}. What is done is not done again."


def crawl(
    seeds: Annotated[list[str], typer.Option("--seeds", help="URL, or a file with a URL a line. Repeatable.")],
    out: Out,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Fetch pages from seeds into WARC files, with a log of every URL's fate."""
    from crawler.step import crawl as fetch

    listed = ", ".join(json.dumps(str(Path(s).resolve()) if "://" not in s else s) for s in seeds)
    with opened(
        recipe, [*sets, f"crawl.seeds=[{listed}]"], {"crawl": out}, quiet=as_json, replace=replace, check=check
    ) as (loaded, bench):
        print_step(fetch(loaded.section("crawl"), bench, base=loaded.base), as_json)


def extract(
    inputs: Inputs,
    out: Out,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Turn WARC, WET, JSONL or Parquet files into a dataset of documents."""
    from pipeline.extract.step import extract as read

    with opened(
        recipe,
        sets,
        {"extract": out},
        workers=workers,
        max_memory=max_memory,
        quiet=as_json,
        replace=replace,
        check=check,
    ) as (
        loaded,
        bench,
    ):
        print_step(read(loaded.section("extract"), bench, inputs=list(inputs)), as_json)


def curate(
    inputs: Inputs,
    out: Out,
    recipe: Annotated[Path, typer.Option("--recipe", help="Recipe with the gates.")],
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Run the gates of a recipe over any documents."""
    from pipeline.curate.build import curation_of
    from pipeline.curate.step import curate as decide
    from pipeline.run.session import documents

    with opened(
        recipe,
        sets,
        {"curate": out},
        workers=workers,
        max_memory=max_memory,
        quiet=as_json,
        replace=replace,
        check=check,
    ) as (
        loaded,
        bench,
    ):
        read = documents(loaded, bench, inputs)
        print_step(decide(curation_of(loaded), read, bench), as_json)


def signals(
    inputs: Inputs,
    out: Out,
    names: Annotated[str, typer.Option("--names", help="Signals, with commas; default: all.")] = "",
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Measure every signal of every text, without decisions."""
    from pipeline.core.registry import load_plugins
    from pipeline.curate.build import curation_of
    from pipeline.curate.measure import all_signals, measure_signals
    from pipeline.run.session import documents

    with opened(
        recipe,
        sets,
        {"signals": out},
        workers=workers,
        max_memory=max_memory,
        quiet=as_json,
        replace=replace,
        check=check,
    ) as (
        loaded,
        bench,
    ):
        load_plugins(loaded.plugins)
        wanted = [n.strip() for n in names.split(",") if n.strip()] or all_signals()
        measured = curation_of(loaded, wanted)
        print_step(measure_signals(measured, wanted, documents(loaded, bench, inputs), bench), as_json)


def tokenizer(
    inputs: Inputs,
    out: Out,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Train a tokenizer; --out names the tokenizer.json. `--set tokenize.kind=word` (or char) for comparison."""
    from pipeline.core.files import write_bytes
    from pipeline.look.verify import work_of
    from pipeline.run.session import documents
    from tokenize_stage.bpe import train_tokenizer
    from tokenize_stage.vocabulary import tokenizer_file

    work = work_of(out)
    with opened(
        recipe,
        sets,
        {},
        workers=workers,
        max_memory=max_memory,
        quiet=as_json,
        root=work,
        holds=out,
        replace=replace,
        check=check,
    ) as (loaded, bench):
        read = documents(loaded, bench, inputs)
        made = train_tokenizer(loaded.section("tokenize"), read, bench, base=loaded.base)
        write_bytes(out, tokenizer_file(made).read_bytes())
        print_step(made, as_json)


def tokenize(
    inputs: Inputs,
    out: Out,
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="A tokenizer.json.")],
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Encode, mix, shuffle and pack documents into Parquet token shards."""
    from pipeline.run.session import documents
    from tokenize_stage.shards import tokenize as encode

    must_exist(tokenizer)
    with opened(
        recipe,
        sets,
        {"tokenize": out},
        workers=workers,
        max_memory=max_memory,
        quiet=as_json,
        replace=replace,
        check=check,
    ) as (
        loaded,
        bench,
    ):
        read = documents(loaded, bench, inputs)
        print_step(encode(loaded.section("tokenize"), read, tokenizer, bench), as_json)


def train(
    shards: Annotated[Path, typer.Argument(help="Directory of token shards.")],
    out: Out,
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="The tokenizer.json that made the shards.")],
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    replace: Replace = False,
    check: CheckHashes = "read",
    as_json: AsJson = False,
) -> None:
    """Train a model on token shards; a run that was stopped goes on from its last checkpoint."""
    from pipeline.core.dataset import open_dataset
    from train.preflight import require_torch

    must_exist(tokenizer)
    require_torch()
    from train.loop import train as learn

    with opened(recipe, sets, {"train": out}, quiet=as_json, replace=replace, check=check) as (loaded, bench):
        print_step(learn(loaded.section("train"), open_dataset(shards), tokenizer, bench), as_json)
