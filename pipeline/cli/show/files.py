"""Files and steps: a glance into one, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pipeline.core.answers import as_json
from pipeline.look.inspect import JsonGlance, JsonlGlance, ParquetGlance, RunGlance, StepGlance, WarcGlance
from pipeline.look.verify import Verified
from pipeline.report.format import plain

SHOWN_CHARS = 200  # of a value


Glance = StepGlance | RunGlance | JsonGlance | ParquetGlance | WarcGlance | JsonlGlance


def show_glance(glance: Glance) -> None:
    """Facts as JSON, then the rows, a value a line."""
    facts = as_json(glance)
    if isinstance(facts, dict):
        facts.pop("rows", None)
    print(json.dumps(facts, ensure_ascii=False, indent=1))
    for i, row in enumerate(_rows(glance)):
        print(f"--- row {i}")
        for name, value in row.items():
            shown = plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
            print(f"  {name:<18}{shown[:SHOWN_CHARS]}{'…' if len(shown) > SHOWN_CHARS else ''}")


def _rows(glance: Glance) -> Sequence[Mapping[str, object]]:
    if isinstance(glance, ParquetGlance):
        return glance.rows
    return [asdict(row) for row in glance.rows] if isinstance(glance, (WarcGlance, JsonlGlance)) else []


def show_verified(verified: Verified) -> None:
    for step, problems in verified.steps.items():
        print(f"{step}: {'whole' if not problems else ''}")
        for line in problems:
            print(f"  {line}")
