"""Writes docs/recipe.md from the dataclasses that check a recipe, so that the reference cannot go stale.

    python docs/generate.py
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from pipeline.cli.stages import sections

TARGET = Path(__file__).parent / "recipe.md"
HEAD = """# Recipe reference

<!-- Written by docs/generate.py. -->

A recipe is one TOML file, strictly typed: an unknown name or a wrong type is an error that names file, key and the
nearest right name. `--set section.name=value` replaces one value for one run; the value is TOML, and what is no TOML
value counts as text. Relative paths start at the recipe's folder.

At the top stand `name` (the run directory is `runs/<name>`; letters, digits, `.`, `_`, `-`) and, where you have
[plug-ins](plugins.md), `plugins = ["mine.py"]`. Everything else lies in sections:
"""
INTRO = {
    "crawl": "Seeds to WARC files. A recipe whose documents come from files has `[extract] inputs` instead.",
    "extract": "Captures and rows to documents.",
    "signals": "`[signals.NAME]` holds the parameters of a signal, for example `[signals.toxic_word_frac]` with "
    '`words = "my_words.txt"`. [All signals](signals.md).',
    "curate": "The gates, in order. `[curate.GATE]` holds the parameters of an edit or a match, or other bounds for a "
    "rule set: `[curate.gopher_quality]` with `too_few_words = { min = 30 }`. [All gates](signals.md#gates).",
    "tokenize": "Tokenizer, packing and split.",
    "train": "Model and optimisation; needs the extra `train`. The context length follows from `row_tokens`.",
    "limits": "When a run counts as failed.",
}
_ATTRIBUTE = re.compile(r"^        ([a-z_]+(?:, [a-z_]+)*): (.*)$")


def attributes(doc: str) -> dict[str, str]:
    """Attribute -> description, from the "Attributes:" part of a docstring."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in doc.partition("Attributes:")[2].splitlines():
        match = _ATTRIBUTE.match(line)
        if match:
            names = match[1].split(", ")
            found.update(dict.fromkeys(names, match[2]))
        elif line.strip():
            for name in names:
                found[name] += " " + line.strip()
    return found


def default(field: dataclasses.Field[Any]) -> str:
    factory = field.default_factory
    value = factory() if factory is not dataclasses.MISSING else field.default
    return repr(value) if isinstance(value, float) else json.dumps(value)


def reference() -> str:
    """The whole page. Raises: KeyError if a value has no description."""
    parts = [HEAD]
    for name, kind in sections().items():
        parts.append(f"## [{name}]\n\n{INTRO[name]}\n")
        described = attributes(kind.__doc__ or "")
        rows = [
            f"| `{f.name}` | `{default(f)}` | {described[f.name].rstrip('.')} |"
            for f in dataclasses.fields(kind)
            if f.name != "tables"
        ]
        if rows:
            parts.append("\n".join(["| value | default | what it does |", "| --- | --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
