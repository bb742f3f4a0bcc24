"""Rules: data that turns signals into decisions.

A rule set is a TOML file: a name, a source, and rules. Bounds are inclusive: a document passes a rule when
min <= value <= max (or when the value is one of `one_of`). A missing value (null) passes: nothing was measured.
`[rule.by_language.de]` replaces bounds for documents in that language. `"$argument"` stands for what follows the
colon of a gate (`language:en,de`).
"""

from __future__ import annotations

import inspect
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import RecipeError, did_you_mean
from pipeline.core.params import Param, check, params_of


@dataclass(frozen=True)
class Rule:
    """One line of a rule set. At least one of min, max, one_of is given."""

    reason: str
    signal: str
    min: float | None = None
    max: float | None = None
    one_of: tuple[str, ...] | str | None = None
    source: str = ""
    by_language: dict[str, dict[str, float]] = field(default_factory=dict)

    def bounds(self, language: str | None) -> tuple[float | None, float | None]:
        own = self.by_language.get(language or "", {})
        return own.get("min", self.min), own.get("max", self.max)

    def passes(self, value: float | str | None, language: str | None) -> bool:
        if value is None:
            return True
        if self.one_of is not None:
            return str(value) in self.one_of
        number = float(value)
        low, high = self.bounds(language)
        return not math.isnan(number) and (low is None or number >= low) and (high is None or number <= high)


@dataclass(frozen=True)
class RuleSet:
    name: str
    rules: tuple[Rule, ...]
    source: str = ""
    argument: str | None = None  # what the text after the gate's colon means; None: takes none

    @property
    def signals(self) -> list[str]:
        return list(dict.fromkeys(r.signal for r in self.rules))

    def failing(self, signals: Mapping[str, float | str | None], language: str | None) -> list[Rule]:
        return [r for r in self.rules if not r.passes(signals.get(r.signal), language)]

    def as_json(self) -> dict[str, Any]:
        """What decides: enters the step key. Sources are prose and stay out."""
        return {
            "name": self.name,
            "rules": [
                [r.reason, r.signal, r.min, r.max, list(r.one_of) if r.one_of else None, r.by_language]
                for r in self.rules
            ],
        }


@dataclass(frozen=True)
class _RuleFile:
    name: str
    rule: list[dict[str, Any]]
    source: str = ""
    argument: str | None = None


def load_rule_set(path: Path) -> RuleSet:
    """Read a rule set file. Raises: RecipeError that names the file and the rule."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    head = _RuleFile(**check(str(path), data, {**params_of(_RuleFile), "rule": _any_list()}))
    rules = []
    for i, row in enumerate(head.rule):
        if not isinstance(row, dict):
            raise RecipeError(f"{path}: rule {i + 1}: expected a table, got {row!r}.")
        rule = Rule(**check(f"{path}: rule {i + 1}", row, params_of(Rule)))
        if rule.min is None and rule.max is None and rule.one_of is None and not rule.by_language:
            raise RecipeError(f"{path}: rule '{rule.reason}' has no bound: give min, max or one_of.")
        rules.append(rule)
    if len({r.reason for r in rules}) != len(rules):
        raise RecipeError(f"{path}: two rules have the same reason.")
    return RuleSet(head.name, tuple(rules), head.source, head.argument)


def _any_list() -> Param:
    return Param("rule", list[Any], inspect.Parameter.empty)


def configure(rule_set: RuleSet, where: str, argument: str | None, table: Mapping[str, Any]) -> RuleSet:
    """A rule set with its argument filled in and its bounds overridden.

    Args:
        where: the gate's place in the recipe.
        argument: the text after the gate's colon, or None.
        table: `{reason: {min: ..., max: ...}}` from the recipe.

    Raises: RecipeError for an unknown reason or bound, or an argument that is missing or not taken.
    """
    if rule_set.argument and not argument:
        raise RecipeError(f"{where}: '{rule_set.name}' needs {rule_set.argument}: write '{rule_set.name}:...'.")
    if argument and not rule_set.argument:
        raise RecipeError(f"{where}: '{rule_set.name}' takes nothing after a colon, got '{argument}'.")
    by_reason = {r.reason: r for r in rule_set.rules}
    for reason, bounds in table.items():
        if reason not in by_reason:
            raise RecipeError(
                f"{where}: no rule '{reason}'.{did_you_mean(reason, by_reason)} It has: {', '.join(by_reason)}."
            )
        if not isinstance(bounds, Mapping):
            raise RecipeError(f"{where}.{reason}: expected a table such as {{min = 30}}, got {bounds!r}.")
        allowed = {n: p for n, p in params_of(Rule).items() if n in ("min", "max", "one_of", "by_language")}
        checked = check(f"{where}.{reason}", bounds, allowed)
        by_reason[reason] = replace(by_reason[reason], **{k: v for k, v in checked.items() if k in bounds})
    choices = tuple(part.strip() for part in argument.split(",") if part.strip()) if argument else ()
    rules = [replace(r, one_of=choices) if r.one_of == "$argument" else _tuple_choices(r) for r in by_reason.values()]
    return replace(rule_set, rules=tuple(rules))


def _tuple_choices(rule: Rule) -> Rule:
    return replace(rule, one_of=(rule.one_of,)) if isinstance(rule.one_of, str) else rule


def values_of(rules: Sequence[Rule], signals: Mapping[str, float | str | None], language: str | None) -> list[Any]:
    """For a decision: every failing rule with the measured value against its bounds."""
    rows = []
    for rule in rules:
        value = signals.get(rule.signal)
        low, high = rule.bounds(language)
        rows.append(
            {
                "reason": rule.reason,
                "signal": rule.signal,
                "value": float(value) if isinstance(value, int | float) else None,
                "text_value": value if isinstance(value, str) else None,
                "min": low,
                "max": high,
            }
        )
    return rows
