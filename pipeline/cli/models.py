"""Commands for what the stages are made of: rule sets, classifiers, language models, extractor, tokenizers, trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli import make
from pipeline.cli.answers import print_answer, print_json
from pipeline.cli.options import NO_PATHS, AsJson, Inputs, must_exist, opened
from pipeline.core.errors import UsageError
from pipeline.core.lock import lock
from pipeline.text.visible import visible

models_app = typer.Typer(no_args_is_help=True, help="Model files that curation uses.")
extractor_app = typer.Typer(no_args_is_help=True, help="Train and judge the fast extractor.")
tokenizer_app = typer.Typer(no_args_is_help=True, help="Train and compare tokenizers.")
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

    with lock(out, file=True):
        pages = [page for folder in folders for page in load_pages(folder)]
        facts: dict[str, Any] = {"pages": len(pages)}
        if judge:
            facts["out_of_fold"] = out_of_fold(pages).summary()
        save(replace(train_model(pages), facts=facts), out)
    print(f"{visible(str(out))}: {out.stat().st_size:,} bytes")
    print_json(facts)


@rules_app.command("list")
def rules_list(as_json: AsJson = False) -> None:
    """Every rule set with its source."""
    from pipeline.look.rule_sets import rule_sets

    print_answer(rule_sets(), as_json)


@rules_app.command("show")
def rules_show(
    name: Annotated[str, typer.Argument(help="A rule set by name, or a TOML file.")], as_json: AsJson = False
) -> None:
    """All rules of a set: reason, signal, bounds, source."""
    from pipeline.look.rule_sets import rule_set

    print_answer(rule_set(name), as_json)


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
    from pipeline.models.classifier import read_examples, train_and_measure

    with lock(out, file=True):
        examples = [*read_examples(positive, True), *read_examples(negative, False)]
        found = train_and_measure(examples, out, name=out.stem, about=about)
    print_answer(found, as_json, about=str(out))


@classifier_app.command("eval")
def classifier_eval(
    model: Annotated[Path, typer.Argument(help="A model file with the label `positive`.")],
    positive: Positive,
    negative: Negative,
    as_json: AsJson = False,
) -> None:
    """Precision, recall and F1 of a classifier on other texts."""
    from pipeline.models.classifier import measure, read_examples

    found = measure(model, [*read_examples(positive, True), *read_examples(negative, False)])
    print_answer(found, as_json, about=str(model))


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

    with lock(out, file=True):
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

    print(visible(str(add_model(name))))


@models_app.command("list")
def models_list() -> None:
    """Known models, and whether they are installed."""
    from pipeline.models.store import known_models, models_dir

    for model in known_models().values():
        state = "installed" if (models_dir() / model.file).is_file() else "not installed"
        print(f"{model.name:<12} {state:<14} {model.kind}; {model.licence}")


tokenizer_app.command("train")(make.tokenizer)


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
    from pipeline.core.answers import as_json as json_of
    from pipeline.core.files import write_json
    from pipeline.run.session import documents
    from tokenize_stage.evaluate import evaluate

    if not tokenizers:
        raise UsageError("give at least one --tokenizer.")
    for path in tokenizers:
        must_exist(path)
    with opened(None, [], {}) as (recipe, bench):
        found = evaluate(documents(recipe, bench, inputs), tokenizers, max_bytes=int(megabytes * 1e6))
    if out is not None:
        place = out / "tokenizers.json" if out.is_dir() else out
        with lock(place, file=True):
            write_json(place, json_of(found))
    print_answer(found, as_json)


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
    from pipeline.look.run import open_run
    from pipeline.run.run import RUN
    from tokenize_stage.vocabulary import load_tokenizer
    from train.preflight import require_torch

    require_torch("generate")
    from train.checkpoint import load_model, tokenizer_of
    from train.generate import generate as continue_text

    folder = open_run(checkpoint).need("train").dir if (checkpoint / RUN).is_file() else checkpoint
    tokenizer = load_tokenizer(tokenizer_of(folder))
    text = continue_text(
        load_model(folder), tokenizer, prompt,
        max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
    )  # fmt: skip
    print_json({"prompt": prompt, "text": text}) if as_json else print(prompt + text)
