"""`winnow rules|classifier|lm|models|extractor`: what curation and extraction are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import NO_PATHS, AsJson, print_json
from pipeline.core.errors import UsageError

models_app = typer.Typer(no_args_is_help=True, help="Model files that curation uses.")
extractor_app = typer.Typer(no_args_is_help=True, help="Train and judge the fast extractor.")
rules_app = typer.Typer(no_args_is_help=True, help="The rule sets that ship with winnow.")
classifier_app = typer.Typer(no_args_is_help=True, help="Train and judge text classifiers (quality, toxicity, yours).")
lm_app = typer.Typer(no_args_is_help=True, help="Train n-gram language models for the perplexity signal.")


@extractor_app.command("train")
def extractor_train(
    folders: Annotated[list[Path], typer.Argument(help="Folders of labelled pages: WCXB layout, or snippets.")],
    out: Annotated[Path, typer.Option("--out", help="Model file to write.")],
    judge: Annotated[
        bool, typer.Option("--judge/--no-judge", help="Out-of-fold scores first; five more trainings.")
    ] = True,
) -> None:
    """Train the model of the fast extractor; its out-of-fold scores go into the file."""
    from dataclasses import replace

    from pipeline.extract.fast.model import save
    from pipeline.extract.fast.train import load_pages, out_of_fold
    from pipeline.extract.fast.train import train as train_model

    pages = [page for folder in folders for page in load_pages(folder)]
    facts: dict[str, Any] = {"pages": len(pages)}
    if judge:
        facts["out_of_fold"] = out_of_fold(pages).summary()
    save(replace(train_model(pages), facts=facts), out)
    print(f"{out}: {out.stat().st_size:,} bytes")
    print_json(facts)


@rules_app.command("list")
def rules_list(as_json: AsJson = False) -> None:
    """Every rule set with its source."""
    from pipeline.cli.show import show_rule_sets
    from pipeline.curate.gates import builtin_rule_sets

    sets = [{"name": s.name, "rules": len(s.rules), "source": s.source} for s in builtin_rule_sets().values()]
    print_json(sets) if as_json else show_rule_sets(sets)


@rules_app.command("show")
def rules_show(
    name: Annotated[str, typer.Argument(help="A rule set by name, or a TOML file.")], as_json: AsJson = False
) -> None:
    """All rules of a set: reason, signal, bounds, source."""
    from dataclasses import asdict

    from pipeline.cli.show import show_rule_set
    from pipeline.core.errors import did_you_mean
    from pipeline.core.rules import load_rule_set
    from pipeline.curate.gates import builtin_rule_sets

    known = builtin_rule_sets()
    if name not in known and not Path(name).is_file():
        raise UsageError(f"no rule set '{name}'.{did_you_mean(name, known)} winnow has: {', '.join(known)}.")
    found = asdict(known[name] if name in known else load_rule_set(Path(name)))
    print_json(found) if as_json else show_rule_set(found)


Positive = Annotated[list[Path], typer.Option("--positive", help="JSONL, Parquet or text lines. Repeatable.")]
Negative = Annotated[list[Path], typer.Option("--negative", help="The same, of the other class. Repeatable.")]


@classifier_app.command("train")
def classifier_train(
    positive: Positive,
    negative: Negative,
    out: Annotated[
        Path, typer.Option("--out", help="Model file, for example quality.bin; scores and card lie beside.")
    ],
    about: Annotated[str, typer.Option("--about", help="A sentence or two for the model card.")] = "",
    as_json: AsJson = False,
) -> None:
    """Train a linear classifier in the fastText format; a tenth is held out and measured."""
    from pipeline.cli.show import show_classifier
    from pipeline.models.classifier import read_examples, train_and_measure

    examples = [*read_examples(positive, True), *read_examples(negative, False)]
    found = train_and_measure(examples, out, name=out.stem, about=about)
    print_json(found) if as_json else show_classifier(found, str(out))


@classifier_app.command("eval")
def classifier_eval(
    model: Annotated[Path, typer.Argument(help="A model file with the label `positive`.")],
    positive: Positive,
    negative: Negative,
    as_json: AsJson = False,
) -> None:
    """Precision, recall and F1 of a classifier on other texts."""
    from pipeline.cli.show import show_classifier
    from pipeline.models.classifier import measure, read_examples

    found = measure(model, [*read_examples(positive, True), *read_examples(negative, False)])
    print_json(found) if as_json else show_classifier(found, str(model))


@lm_app.command("train")
def lm_train(
    texts: Annotated[
        list[Path], typer.Argument(help="Clean texts: JSONL, Parquet with a `text`, or plain text files.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Model file, for example en.npz.")],
    cut_on: Annotated[
        list[Path], typer.Option("--cut-on", help="Web texts: terciles of their perplexity bound head, middle, tail.")
    ] = NO_PATHS,
    order: Annotated[int, typer.Option("--order", min=2, max=6, help="Longest n-gram, in words.")] = 3,
    words: Annotated[int, typer.Option("--words", min=1, help="Size of the vocabulary.")] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Train a modified Kneser-Ney model on clean text."""
    from pipeline.models.classifier import read_texts
    from pipeline.models.ngram import load_ngram_model, save_ngram_model, train_ngram_model

    clean = [t for path in texts for t in read_texts(path)]
    web = [t for path in cut_on for t in read_texts(path)]
    save_ngram_model(train_ngram_model(clean, order=order, words=words, cut_on=web), out)
    model = load_ngram_model(str(out.resolve()))
    found = {
        "model": str(out), "bytes": out.stat().st_size, "texts": len(clean), "words": len(model.vocabulary),
        "ngrams": [len(k) for k in model.keys], "cuts": list(model.cuts),
    }  # fmt: skip
    print_json(found)


@models_app.command("add")
def models_add(name: Annotated[str, typer.Argument(help="Name of a model.")]) -> None:
    """Fetch a model and check its sha256."""
    from pipeline.models.store import add_model

    print(add_model(name))


@models_app.command("list")
def models_list() -> None:
    """Known models, and whether they are installed."""
    from pipeline.models.store import known_models, models_dir

    for model in known_models().values():
        state = "installed" if (models_dir() / model.file).is_file() else "not installed"
        print(f"{model.name:<12} {state:<14} {model.kind}; {model.licence}")
