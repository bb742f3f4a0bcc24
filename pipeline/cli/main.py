"""`winnow`: the commands, and how errors end. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from pipeline.cli import look, make, models, operate
from pipeline.cli.dedup import dedup_app
from pipeline.core.errors import WinnowError
from pipeline.core.imports import leave_working_folder

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="From seed URLs to a trained language model, with every token accounted for.",
)
for name, group in {
    "models": models.models_app, "extractor": models.extractor_app, "tokenizer": models.tokenizer_app,
    "rules": models.rules_app, "classifier": models.classifier_app, "lm": models.lm_app, "dedup": dedup_app,
}.items():  # fmt: skip
    app.add_typer(group, name=name)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": make.run, "crawl": make.crawl, "extract": make.extract, "curate": make.curate, "signals": make.signals,
    "compile": operate.compile_kernels, "tokenize": make.tokenize, "export": operate.export, "train": make.train,
    "generate": models.generate, "stats": look.stats, "inspect": look.inspect, "explain": look.explain,
    "whatif": look.whatif, "representation": look.representation, "contamination": look.contamination,
    "report": operate.report, "verify": operate.verify,
}  # fmt: skip
for name, command in COMMANDS.items():
    app.command(name)(command)


def run_cli() -> NoReturn:
    """Entry point: a WinnowError ends in one line on stderr and its exit code, Ctrl-C in 130."""
    leave_working_folder()
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
