"""How the rules of a run work together: what each drops, what it alone drops, and which two drop the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from pipeline.core.rules import Rule
from pipeline.core.sql import database, text_of
from pipeline.look.run import Run, rules_of
from pipeline.look.whatif import condition, load_documents


@dataclass(frozen=True)
class RuleKills:
    """What a rule drops.

    Attributes:
        fails, bytes: documents that fail it, and their text.
        unique, unique_bytes: documents that fail this rule and no other of the run, and that no gate without rules (an edit, a
            match) dropped: without this rule they would be in the data.
    """

    gate: str
    reason: str
    signal: str
    fails: int
    bytes: int
    unique: int
    unique_bytes: int

    @property
    def name(self) -> str:
        return f"{self.gate}.{self.reason}"


@dataclass(frozen=True)
class RulePair:
    """Two rules, GATE.REASON each: documents that fail both, and those / documents that fail either."""

    a: str
    b: str
    both: int
    jaccard: float


@dataclass(frozen=True)
class RuleTable:
    """Unique kills of all rules, in the order of the run, and the pairs that overlap most; `documents` were measured."""

    documents: int
    rules: tuple[RuleKills, ...]
    pairs: tuple[RulePair, ...]


def rule_table(run: Run, *, top_pairs: int = 15) -> RuleTable:
    """Unique kills and overlap of all rules of a run, over every document that was measured.

    Raises: UsageError if the run has no sealed curate step.
    """
    curate = run.need("curate")
    rules = [(gate, r) for gate, each in rules_of(curate) for r in each]
    by_rules = {gate for gate, _ in rules}
    others = [g["name"] for g in curate.params["gates"] if g["name"] not in by_rules]
    with database() as connection:
        load_documents(connection, curate, [r.signal for _, r in rules])
        flags = ", ".join(f"NOT coalesce({condition(r)}, true) AS f{i}" for i, (_, r) in enumerate(rules))
        total = " + ".join(f"f{i}::INT" for i in range(len(rules))) or "0"
        listed = ", ".join(map(text_of, others)) or "''"
        connection.execute(
            f"CREATE TABLE flags AS SELECT *, {total} AS n FROM (SELECT bytes, before IN ({listed}) AS other, {flags} FROM docs)"
        )
        documents = connection.sql("SELECT count(*) FROM flags").fetchall()[0][0]
        kills = tuple(_kills(connection, i, gate, rule) for i, (gate, rule) in enumerate(rules))
        pairs = _pairs(connection, kills)
    return RuleTable(int(documents), kills, tuple(pairs[:top_pairs]))


def _kills(connection: duckdb.DuckDBPyConnection, i: int, gate: str, rule: Rule) -> RuleKills:
    found = connection.sql(
        f"SELECT count(*), coalesce(sum(bytes), 0), count(*) FILTER (n = 1 AND other IS NOT TRUE), "
        f"coalesce(sum(bytes) FILTER (n = 1 AND other IS NOT TRUE), 0) FROM flags WHERE f{i}"
    ).fetchall()[0]
    fails, size, unique, unique_size = map(int, found)
    return RuleKills(gate, rule.reason, rule.signal, fails, size, unique, unique_size)


def _pairs(connection: duckdb.DuckDBPyConnection, kills: Sequence[RuleKills]) -> list[RulePair]:
    """Rules that documents fail together, the most alike first."""
    pairs = []
    active = [i for i, r in enumerate(kills) if r.fails]
    for k, i in enumerate(active):
        rest = active[k + 1 :]
        if not rest:
            continue
        query = ", ".join(f"count(*) FILTER (f{j})" for j in rest)
        counts = connection.sql(f"SELECT {query} FROM flags WHERE f{i}").fetchall()[0]
        for j, both in zip(rest, counts, strict=True):
            if both:
                either = kills[i].fails + kills[j].fails - both
                pairs.append(RulePair(kills[i].name, kills[j].name, int(both), both / either))
    return sorted(pairs, key=lambda p: (-p.jaccard, -p.both, p.a, p.b))
