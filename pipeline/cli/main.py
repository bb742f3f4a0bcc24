"""`winnow`: commands, their options, and how errors end. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline.cli.dedup import dedup_app
from pipeline.cli.options import (
    NO_SETS,
    AsJson,
    Inputs,
    MaxMemory,
    Out,
    RecipePath,
    RunPath,
    Sets,
    Workers,
    must_exist,
    open_session,
    print_json,
    print_step,
    show_run,
)  # fmt: skip
from pipeline.cli.tokens import export, tokenize, tokenizer_app
from pipeline.cli.tools import classifier_app, extractor_app, lm_app, models_app, rules_app
from pipeline.core.errors import UsageError, WinnowError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="From seed URLs to a trained language model, with every token accounted for.",
)
for name, group in {
    "models": models_app, "extractor": extractor_app, "tokenizer": tokenizer_app, "rules": rules_app,
    "classifier": classifier_app, "lm": lm_app, "dedup": dedup_app,
}.items():  # fmt: skip
    app.add_typer(group, name=name)


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe file.")],
    sets: Sets = NO_SETS,
    runs: Annotated[Path, typer.Option("--runs", help="Where run directories are made.")] = Path("runs"),
    first: Annotated[str, typer.Option("--from", help="First stage.")] = "crawl",
    last: Annotated[str, typer.Option("--to", help="Last stage.")] = "report",
    only: Annotated[str, typer.Option("--only", help="One stage alone.")] = "",
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Run a recipe: crawl, extract, curate, tokenize, train, report. What is done is not done again."""
    from pipeline.cli import stages
    from pipeline.cli.progress import Bars

    loaded = stages.load_recipe(recipe, sets)
    root = stages.run_recipe(
        loaded,
        runs,
        limits=stages.limits(workers, max_memory),
        bars=Bars(quiet=as_json),
        first=only or first,
        last=only or last,
    )
    show_run(root, as_json)


@app.command()
def crawl(
    seeds: Annotated[list[str], typer.Option("--seeds", help="URL, or a file with a URL a line. Repeatable.")],
    out: Out,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    as_json: AsJson = False,
) -> None:
    """Fetch pages from seeds into WARC files, with a log of every URL's fate."""
    listed = ", ".join(json.dumps(str(Path(s).resolve()) if "://" not in s else s) for s in seeds)
    with open_session(recipe, [*sets, f"crawl.seeds=[{listed}]"], 1, as_json, {"crawl": out}) as session:
        print_step(session.crawl(), as_json)


@app.command()
def extract(
    inputs: Inputs,
    out: Out,
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Turn WARC, WET, JSONL or Parquet files into a dataset of documents."""
    with open_session(recipe, sets, workers, as_json, {"extract": out}, max_memory=max_memory) as session:
        print_step(session.extract(inputs), as_json)


@app.command()
def curate(
    inputs: Inputs,
    out: Out,
    recipe: Annotated[Path, typer.Option("--recipe", help="Recipe with the gates.")],
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Run the gates of a recipe over any documents."""
    with open_session(recipe, sets, workers, as_json, {"curate": out}, max_memory=max_memory) as session:
        print_step(session.curate(session.documents(inputs)), as_json)


@app.command()
def signals(
    inputs: Inputs,
    out: Out,
    names: Annotated[str, typer.Option("--names", help="Signals, with commas; default: all.")] = "",
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    workers: Workers = None,
    max_memory: MaxMemory = "",
    as_json: AsJson = False,
) -> None:
    """Measure every signal of every text, without decisions."""
    from pipeline.core.registry import load_plugins
    from pipeline.curate.step import all_signals, measure_signals

    with open_session(recipe, [*sets], workers, as_json, {"signals": out}, max_memory=max_memory) as session:
        load_plugins(session.recipe.plugins)
        wanted = [n.strip() for n in names.split(",") if n.strip()] or all_signals()
        curation = session.curation(wanted)
        documents = session.documents(inputs)
        made = measure_signals(curation, wanted, documents, session.space, session.executor, progress=session.bars)
        print_step(made, as_json)


@app.command("compile")
def compile_all() -> None:
    """Compile all kernels now rather than in the first run; a minute or two, once."""
    import time
    from tempfile import TemporaryDirectory

    from pipeline.curate.gates import compile_kernels as compile_curation
    from pipeline.extract.fast.engine import compile_kernels as compile_extractor
    from pipeline.text.compiled import remove_old_caches

    began = time.monotonic()
    remove_old_caches()
    compile_extractor()
    compile_curation()
    text = "Some words that stand twice in one text, and in another one too.\n"
    gates = 'curate.gates=["exact_substrings", "exact", "minhash"]'
    # the whole way with some texts, for the kernels of grouping and tokens
    with TemporaryDirectory(prefix="winnow-") as name:
        folder = Path(name)
        rows = [{"text": " ".join(f"word{n}x{i}" for i in range(40)) + text} for n in [*range(40), 0]]
        (folder / "few.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        sets = [gates, "curate.exact_substrings.min_tokens=200"]
        sets += ["tokenize.vocab_size=300", "tokenize.validation_fraction=0.5", "tokenize.row_tokens=16"]
        with open_session(None, sets, 1, True, {"curate": folder / "out"}) as session:
            kept = session.curate(session.documents([folder / "few.jsonl"]))
            made = session.tokenizer(kept)
            session.tokenize(kept, made.dir / "tokenizer" / "00000.json")
    print(f"compiled kernels are in place ({time.monotonic() - began:.0f} s)")


app.command()(tokenize)
app.command()(export)


@app.command()
def train(
    shards: Annotated[Path, typer.Argument(help="Directory of token shards.")],
    out: Out,
    tokenizer: Annotated[Path, typer.Option("--tokenizer", help="The tokenizer.json that made the shards.")],
    recipe: RecipePath = None,
    sets: Sets = NO_SETS,
    as_json: AsJson = False,
) -> None:
    """Train a model on token shards; a run that was stopped goes on from its last checkpoint."""
    from pipeline.core.dataset import open_dataset

    must_exist(tokenizer)
    with open_session(recipe, sets, 1, as_json, {"train": out}) as session:
        print_step(session.train(open_dataset(shards), tokenizer), as_json)


@app.command()
def generate(
    checkpoint: Annotated[Path, typer.Argument(help="Train step, checkpoint folder or run directory.")],
    prompt: Annotated[str, typer.Option("--prompt", help="Text to continue.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens")] = 100,
    temperature: Annotated[float, typer.Option("--temperature", help="0: always the most probable token.")] = 0.8,
    top_k: Annotated[int, typer.Option("--top-k", help="0: all tokens.")] = 0,
    top_p: Annotated[float, typer.Option("--top-p")] = 1.0,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: AsJson = False,
) -> None:
    """Continue a prompt with a trained model."""
    try:
        from train.checkpoint import load_model
        from train.generate import generate as continue_text
    except ModuleNotFoundError as error:
        raise UsageError(
            f"generate needs the extra 'train' ({error.name} is missing): pip install 'winnow-lm[train]'."
        ) from error
    from pipeline.look.run import open_run
    from tokenize_stage.vocabulary import load_tokenizer

    folder = open_run(checkpoint).need("train").dir if (checkpoint / "run.json").is_file() else checkpoint
    places = [
        folder / "tokenizer.json",
        folder / "model" / "tokenizer.json",
        folder.parent.parent / "model" / "tokenizer.json",
    ]
    found = next((p for p in places if p.is_file()), None)
    if found is None:
        raise UsageError(f"{folder}: no trained model here (no tokenizer.json).")
    text = continue_text(
        load_model(folder), load_tokenizer(found), prompt,
        max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
    )  # fmt: skip
    print_json({"prompt": prompt, "text": text}) if as_json else print(prompt + text)


@app.command()
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
    if rules:
        from pipeline.cli.show import show_rule_table
        from pipeline.look.rules import rule_table
        from pipeline.look.run import open_run

        table = rule_table(open_run(run_path))
        print_json(table) if as_json else show_rule_table(table)
        return
    if signal and (near is not None or samples):
        from pipeline.cli.show import show_nearest
        from pipeline.look.near import nearest
        from pipeline.look.run import open_run

        rows = nearest(open_run(run_path), signal, near, samples or 5)
        print_json(rows) if as_json else show_nearest(rows)
        return
    if not signal:
        show_run(run_path, as_json)
        return
    from pipeline.cli.show import show_histogram
    from pipeline.look.run import open_run
    from pipeline.look.stats import histogram

    found = histogram(open_run(run_path), signal)
    print_json(found) if as_json else show_histogram(found)


@app.command()
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
    from pipeline.cli.show import show_inspect
    from pipeline.cli.show_dedup import show_clusters
    from pipeline.core.files import write_bytes
    from pipeline.look.clusters import as_html, clusters
    from pipeline.look.inspect import inspect as look
    from pipeline.look.run import open_run

    if str(path) == "clusters" and run_path is not None:
        copies = clusters(open_run(run_path), gate=gate, target=target, rows=rows)
        if html is not None:
            write_bytes(html, as_html(copies, f"Copies in {run_path.name}").encode())
        print_json(copies) if as_json else show_clusters(copies)
        return
    if step:
        from pipeline.cli.show_tokens import show_batch
        from pipeline.look.tokens import batch_of_step

        batch = batch_of_step(path, step, batch_rows=batch_rows)
        print_json(batch) if as_json else show_batch(batch)
        return
    found = look(path, rows=rows, tokenizer=tokenizer)
    print_json(found) if as_json else show_inspect(found)


@app.command()
def explain(
    run_path: RunPath,
    target: Annotated[str, typer.Argument(help="URL, or a doc_id of 32 hex digits.")],
    as_json: AsJson = False,
) -> None:
    """The whole life of a URL: why it is in the data, or why not."""
    from pipeline.cli.show import show_explain
    from pipeline.look.explain import explain as life
    from pipeline.look.run import open_run

    found = life(open_run(run_path), target)
    print_json(found) if as_json else show_explain(found)


@app.command()
def whatif(run_path: RunPath, sets: Sets = NO_SETS, as_json: AsJson = False) -> None:
    """What other bounds would have decided: --set GATE.REASON.min=VALUE."""
    from pipeline.cli.show import show_whatif
    from pipeline.look.run import open_run
    from pipeline.look.whatif import whatif as ask

    found = ask(open_run(run_path), sets)
    print_json(found) if as_json else show_whatif(found)


@app.command()
def representation(run_path: RunPath, as_json: AsJson = False) -> None:
    """What curation removed by identity term, dialect, language and host, beside the rate of all documents."""
    from pipeline.cli.show import show_representation
    from pipeline.look.representation import representation as measure
    from pipeline.look.run import open_run

    found = measure(open_run(run_path))
    print_json(found) if as_json else show_representation(found)


@app.command()
def contamination(
    run_path: RunPath,
    sets: Annotated[list[Path], typer.Argument(help="The evaluation sets of the recipe: files or folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the clean and the seen part of each set.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which items of evaluation sets occur in which documents, and the clean subset of each set."""
    from pipeline.cli.show import show_contamination
    from pipeline.look.contamination import contamination as look
    from pipeline.look.run import open_run

    found = look(open_run(run_path), sets, out=out)
    print_json(found) if as_json else show_contamination(found)


@app.command()
def report(run_path: RunPath, out: Annotated[Path | None, typer.Option("--out", help="HTML file.")] = None) -> None:
    """Write one self-contained HTML file about a run."""
    from pipeline.report.build import write_report

    print(write_report(run_path, out or run_path / "report.html"))


@app.command()
def verify(run_path: RunPath, as_json: AsJson = False) -> None:
    """Check hashes, rows and books of every step of a run."""
    from pipeline.look.run import open_run
    from pipeline.look.verify import verify as check

    problems = dict(check(open_run(run_path)))
    if as_json:
        print_json(problems)
    for step, found in {} if as_json else problems.items():
        print(f"{step}: {'whole' if not found else ''}")
        for line in found:
            print(f"  {line}")
    if any(problems.values()):
        raise typer.Exit(1)


def run_cli() -> NoReturn:
    """Entry point: a WinnowError ends in one line on stderr and its exit code, Ctrl-C in 130."""
    try:
        app()
    except WinnowError as error:
        print(f"winnow: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\nwinnow: stopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        print(f"winnow: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    run_cli()
