"""The one place where a command's answer becomes output: JSON, or text for a terminal."""

from __future__ import annotations

import json

from pipeline.core.answers import as_json


def print_answer(answer: object, to_json: bool, *, about: str = "") -> None:
    """Print an answer.

    Args:
        about: what the answer is about, where its text begins with that and it does not know it.
    """
    if to_json:
        print_json(answer)
        return
    from pipeline.cli.show import show

    show(answer, about)


def print_json(answer: object) -> None:
    """Print an answer, or plain values, as JSON that every parser takes: ASCII, no NaN, no lone surrogates."""
    print(json.dumps(as_json(answer), ensure_ascii=True, allow_nan=False, indent=1))
