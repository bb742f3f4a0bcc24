"""`winnow`: the commands, how errors end, and the gate that all output goes through. Heavy imports happen inside the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from pipeline.cli import look, make, models, operate
from pipeline.cli.dedup import dedup_app
from pipeline.core.errors import WinnowError
from pipeline.core.imports import leave_working_folder
from pipeline.text import gate
from pipeline.text.visible import visible

# What a wrong command line raises; Typer exports no name for it.
_WRONG_LINE = cast(type[Exception], typer.BadParameter.__mro__[2])


class Gated(TyperGroup):
    """All commands: what they print, usage errors too, goes through the gate, also when another program calls them."""

    def main(self, *args: Any, **more: Any) -> Any:
        with gate.gate():
            return super().main(*args, **more)

    def make_context(self, *args: Any, **more: Any) -> Any:
        with _one_line():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    """What was typed, or a file's name, cannot forge a second line of a usage error."""
    try:
        yield
    except _WRONG_LINE as error:
        error.message = visible(error.message)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=Gated,
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
    gate.install()
    try:
        app()
    except WinnowError as error:
        print(f"winnow: {visible(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\nwinnow: stopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename or "")
        print(f"winnow: {visible(f'{error.strerror or error}: {name}')}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    run_cli()
