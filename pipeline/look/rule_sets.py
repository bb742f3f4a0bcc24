"""The rule sets that ship with winnow, and those in files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.answers import BARE
from pipeline.core.errors import UsageError, did_you_mean
from pipeline.core.rules import RuleSet, load_rule_set
from pipeline.curate.build import builtin_rule_sets


@dataclass(frozen=True)
class RuleSetLine:
    """A rule set, how many rules it has, and where they come from."""

    name: str
    rules: int
    source: str


@dataclass(frozen=True)
class RuleSets:
    """All rule sets that ship with winnow."""

    sets: tuple[RuleSetLine, ...] = field(metadata=BARE)


def rule_sets() -> RuleSets:
    return RuleSets(tuple(RuleSetLine(s.name, len(s.rules), s.source) for s in builtin_rule_sets().values()))


def rule_set(name: str) -> RuleSet:
    """A rule set by name, or of a TOML file. Raises: UsageError if there is none."""
    known = builtin_rule_sets()
    if name in known:
        return known[name]
    if not Path(name).is_file():
        raise UsageError(f"no rule set '{name}'.{did_you_mean(name, known)} winnow has: {', '.join(known)}.")
    return load_rule_set(Path(name))
