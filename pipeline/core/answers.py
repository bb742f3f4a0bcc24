"""Answers: what a question about a run, a file or a model returns, and its one form as JSON.

An answer is a frozen dataclass. Its fields are numbers, texts and times, further answers, and tuples or mappings of those;
where a file holds whatever somebody wrote into it, they are `Json`. Terminal, `--json`, report and web page are only ways
to show it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Counts: TypeAlias = dict[str, int]

# Metadata of a field: left out of the JSON where it is None, because the question does not arise (a page that was never
# fetched has no tokens). Fields without it are there as null.
ABSENT = {"json": "absent"}
# Metadata of an only field: the JSON of the answer is that of the field.
BARE = {"json": "bare"}


def as_json(answer: object) -> Json:
    """An answer, or a part of one, as JSON values, in the order of its fields.

    A field whose name is a word of Python's (`from_`) goes without its underscore. Bytes become hex digits; times, paths and
    what else JSON has no form for, their text. Numbers that are not finite become null, and lone surrogates (bytes of a file
    name that are not UTF-8) the six characters of their escape: strict parsers take neither.
    """
    if answer is None or isinstance(answer, (bool, int)):
        return answer
    if isinstance(answer, str):
        return whole_text(answer)
    if isinstance(answer, float):
        return answer if math.isfinite(answer) else None
    if is_dataclass(answer) and not isinstance(answer, type):
        found: dict[str, Json] = {}
        for field in fields(answer):
            value, form = getattr(answer, field.name), field.metadata.get("json")
            if form == BARE["json"]:
                return as_json(value)
            if form != ABSENT["json"] or value is not None:
                found[field.name.rstrip("_")] = as_json(value)
        return found
    if isinstance(answer, Mapping):
        return {whole_text(str(name)): as_json(value) for name, value in answer.items()}
    if isinstance(answer, (bytes, bytearray)):
        return answer.hex()
    if isinstance(answer, Sequence):
        return [as_json(value) for value in answer]
    return whole_text(str(answer))


def whole_text(text: str) -> str:
    """A text that has a form in UTF-8: each lone surrogate is written as `\\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode()
