"""Files and steps: a glance into one, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pipeline.core.answers import as_json
from pipeline.look.inspect import JsonGlance, JsonlGlance, ParquetGlance, RunGlance, StepGlance, WarcGlance
from pipeline.look.verify import Verified
from pipeline.text.visible import cut, padded, visible

SHOWN_CHARS = 200  # of a value


Glance = StepGlance | RunGlance | JsonGlance | ParquetGlance | WarcGlance | JsonlGlance


def show_glance(glance: Glance) -> None:
    """Facts as JSON, then the rows, a value a line."""
    facts = as_json(glance)
    if isinstance(facts, dict):
        facts.pop("rows", None)
    print(json.dumps(facts, ensure_ascii=False, indent=1))  # JSON escapes line ends, the gate the rest
    for i, row in enumerate(_rows(glance)):
        print(f"--- row {i}")
        for name, value in row.items():
            shown = value if isinstance(value, str) else json.dumps(as_json(value), ensure_ascii=False)
            print(f"  {padded(name, 17)} {cut(shown[: SHOWN_CHARS + 1], SHOWN_CHARS)}")


def _rows(glance: Glance) -> Sequence[Mapping[str, object]]:
    if isinstance(glance, ParquetGlance):
        return glance.rows
    return [asdict(row) for row in glance.rows] if isinstance(glance, (WarcGlance, JsonlGlance)) else []


def show_verified(verified: Verified) -> None:
    for step, problems in verified.steps.items():
        print(f"{visible(step)}: {'whole' if not problems else ''}")
        for line in problems:
            print(f"  {visible(line)}")
