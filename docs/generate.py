"""Writes the reference pages from the code that they describe, so that they cannot go stale: docs/recipe.md from the
dataclasses that check a recipe, docs/signals.md from the registry and the rule sets.

    python docs/generate.py
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.definitions import EditDef, MatchDef
from pipeline.core.params import Param
from pipeline.core.registry import REGISTRY
from pipeline.core.rules import Rule
from pipeline.curate.build import builtin_rule_sets
from pipeline.run.stages import sections

HERE = Path(__file__).parent
HEAD = """# Recipe reference

<!-- Written by docs/generate.py. -->

A recipe is one TOML file, strictly typed: an unknown name or a wrong type is an error that names file, key and the
nearest right name. `--set section.name=value` replaces one value for one run; the value is TOML, and what is no TOML
value counts as text. Relative paths start at the recipe's folder.

At the top stand `name` (the run directory is `runs/<name>`; letters, digits, `.`, `_`, `-`) and, where you have
[plug-ins](plugins.md), `plugins = ["mine.py"]`. Everything else lies in sections:
"""
MORE = {"signals": " [All signals](signals.md).", "curate": " [All gates](signals.md#gates)."}
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


def intro(doc: str) -> str:
    """What a docstring says before its attributes, without the section's name in front."""
    text = " ".join(doc.partition("Attributes:")[0].split())
    text = re.sub(r"^`\[[a-z_]+\]`: ", "", text)
    return text[0].upper() + text[1:]


def default(field: dataclasses.Field[Any]) -> str:
    factory = field.default_factory
    value = factory() if factory is not dataclasses.MISSING else field.default
    return repr(value) if isinstance(value, float) else json.dumps(value)


def recipe_page() -> str:
    """docs/recipe.md. Raises: KeyError if a value has no description."""
    parts = [HEAD]
    for name, kind in sections().items():
        doc = kind.__doc__ or ""
        parts.append(f"## [{name}]\n\n{intro(doc)}{MORE.get(name, '')}\n")
        described = attributes(doc)
        rows = [
            f"| `{f.name}` | `{default(f)}` | {described[f.name].rstrip('.')} |"
            for f in dataclasses.fields(kind)
            if f.name != "tables"
        ]
        if rows:
            parts.append(table("value | default | what it does", rows))
    return "\n".join(parts)


def table(columns: str, rows: list[str]) -> str:
    rule = " | ".join("---" for _ in columns.split(" | "))
    return "\n".join([f"| {columns} |", f"| {rule} |", *rows]) + "\n"


SIGNALS_HEAD = """# Signals and gates

<!-- Written by docs/generate.py. -->

A signal is a named number measured on a document; it never decides. Rules, edits and matches are the gates that a
recipe lists. [How to add your own](plugins.md).

## Signals

Parameters go into `[signals.NAME]`, NAME being the first of a group's names.
"""
GATES_HEAD = """## Gates

### Rule sets

Lines of data: a document passes when `min <= value <= max`. All failing rules of a dropped document are recorded, not
only the first. A bound is changed in the recipe by its reason; `winnow whatif` answers what that would do, without a
rerun.
"""


def first_line(fn: Any) -> str:
    return (inspect.getdoc(fn) or "").split("\n\n")[0].replace("\n", " ")


def params(found: Mapping[str, Param]) -> str:
    return ", ".join(f"`{p.name} = {json.dumps(p.default)}`" for p in found.values())


def bound(rule: Rule) -> str:
    if rule.one_of is not None:
        return "one of those after the colon" if rule.one_of == "$argument" else ", ".join(rule.one_of)
    return ", ".join(
        f"{word} {value:,g}" for word, value in (("min", rule.min), ("max", rule.max)) if value is not None
    )


def signals_page() -> str:
    """docs/signals.md."""
    definitions = {d.names: d for d in REGISTRY.signals.values()}.values()
    rows = [
        f"| {', '.join(f'`{n}`' for n in d.names)} | {first_line(d.fn)} | {params(d.params)} |" for d in definitions
    ]
    parts = [SIGNALS_HEAD, table("names | what is measured | parameters", rows), GATES_HEAD]
    for rule_set in builtin_rule_sets().values():
        takes = f" Takes {rule_set.argument} after a colon: `{rule_set.name}:...`." if rule_set.argument else ""
        parts.append(f"**`{rule_set.name}`** {rule_set.source}{takes}\n")
        parts.append(
            table("reason | signal | bound", [f"| `{r.reason}` | `{r.signal}` | {bound(r)} |" for r in rule_set.rules])
        )
    parts += ["### Edits and matches\n", table("gate | what it does | parameters", list(_functions()))]
    return "\n".join(parts)


def _functions() -> Iterator[str]:
    gates: list[EditDef | MatchDef] = [*REGISTRY.edits.values(), *REGISTRY.matches.values()]
    for found in gates:
        yield f"| `{found.name}` | {first_line(found.fn)} | {params(found.params)} |"


PAGES = {"recipe.md": recipe_page, "signals.md": signals_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
