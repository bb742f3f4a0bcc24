"""What other bounds would have decided: a query over stored signals, not a rerun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb

from pipeline.core.dataset import Dataset
from pipeline.core.errors import RecipeError, UsageError, did_you_mean
from pipeline.core.recipe import override, parse_set
from pipeline.core.rules import Rule, RuleSet, configure
from pipeline.core.sql import database, name_of, text_of
from pipeline.look.run import Run, rules_of
from pipeline.look.stats import GroupBytes


class Size(NamedTuple):
    """Documents, and bytes of their texts."""

    documents: int
    bytes: int


@dataclass(frozen=True)
class GateChange:
    """Documents that a gate drops before and after the change."""

    gate: str
    before: int
    after: int


@dataclass(frozen=True)
class Side:
    """Documents gained or lost: how many, of which languages and hosts (the most documents first), and some of them."""

    documents: int
    bytes: int
    languages: tuple[GroupBytes, ...]
    hosts: tuple[GroupBytes, ...]
    examples: tuple[str | None, ...]


@dataclass(frozen=True)
class WhatIf:
    """What other bounds would have decided.

    Attributes:
        set: the changes as they were given. gates: that drop something before or after, by name.
        matches: gates that a gained document would still have to pass.
        measured_all: False where dropped documents were not measured by later gates; gains are an upper bound then.
    """

    set: tuple[str, ...]
    gates: tuple[GateChange, ...]
    gained: Side
    lost: Side
    kept_before: Size
    kept_after: Size
    matches: tuple[str, ...]
    measured_all: bool


def whatif(run: Run, sets: Sequence[str], *, top: int = 10) -> WhatIf:
    """Documents and bytes gained and lost if bounds were others.

    Args:
        sets: assignments such as `gopher_quality.too_few_words.min=30`; a leading `curate.` is allowed.
        top: how many languages, hosts and example URLs are listed.

    Copies and edits are not decided anew: a gained document would still have to pass the match gates, which compared
    only what reached them.
    Raises: RecipeError for an unknown gate, rule or bound; UsageError without assignments.
    """
    if not sets:
        raise UsageError("whatif: give at least one --set GATE.REASON.min=VALUE.")
    curate = run.need("curate")
    old = dict(rules_of(curate))
    new = _changed(old, sets)
    order = [g["name"] for g in curate.params["gates"]]
    with database() as connection:
        load_documents(connection, curate, [r.signal for rules in old.values() for r in rules])
        connection.execute(
            f"CREATE TABLE verdict AS SELECT url, host, language, bytes, before, "
            f"{_first_gate(new, order)} AS after FROM docs"
        )
        return WhatIf(
            set=tuple(sets),
            gates=tuple(GateChange(*r) for r in connection.sql(_BY_GATE).fetchall()),
            gained=_side(connection, "before IS NOT NULL AND after IS NULL", top),
            lost=_side(connection, "before IS NULL AND after IS NOT NULL", top),
            kept_before=_total(connection, "before"),
            kept_after=_total(connection, "after"),
            matches=tuple(g["name"] for g in curate.params["gates"] if g.get("kind") == "match"),
            measured_all=bool(curate.params["measure_dropped"]),
        )


_BY_GATE = """
    SELECT gate, sum(before)::BIGINT AS before, sum(after)::BIGINT AS after FROM (
        SELECT before AS gate, 1 AS before, 0 AS after FROM verdict WHERE before IS NOT NULL
        UNION ALL SELECT after, 0, 1 FROM verdict WHERE after IS NOT NULL) GROUP BY gate ORDER BY gate"""


def _changed(old: dict[str, list[Rule]], sets: Sequence[str]) -> dict[str, list[Rule]]:
    tables: dict[str, Any] = {}
    for assignment in sets:
        path, value = parse_set(assignment)
        path = path[1:] if path[0] == "curate" else path
        if path[0] not in old:
            raise RecipeError(
                f"whatif: no rule gate '{path[0]}' in this run.{did_you_mean(path[0], old)} It has: {', '.join(old)}."
            )
        if len(path) != 3:
            raise RecipeError(f"whatif: {assignment}: write it as GATE.REASON.min=VALUE (or max, one_of).")
        override(tables, path, value)
    return {
        gate: list(configure(RuleSet(gate, tuple(rules)), f"whatif: {gate}", None, tables.get(gate, {})).rules)
        for gate, rules in old.items()
    }


def load_documents(connection: duckdb.DuckDBPyConnection, curate: Dataset, signals: Sequence[str]) -> None:
    """A view `docs`: what decides, host, language, size, and the gate that dropped a document. Columns that no rule
    needs are never read."""
    connection.execute("SET preserve_insertion_order = false")
    files = {"s": [str(p) for p in curate.files("signals")], "d": [str(p) for p in curate.files("decisions")]}
    found = connection.sql(
        "SELECT * FROM read_parquet($s, union_by_name=true) LIMIT 0", params={"s": files["s"]}
    ).columns
    wanted = ["doc_id", "url", "host", "bytes", *dict.fromkeys([*signals, "language"])]
    columns = ", ".join(name_of(c) if c in found else f"NULL::VARCHAR AS {name_of(c)}" for c in wanted)
    connection.execute(
        f"CREATE TABLE docs AS SELECT s.*, d.gate AS before FROM (SELECT {columns} FROM read_parquet($s, "
        "union_by_name=true)) s LEFT JOIN (SELECT doc_id, gate FROM read_parquet($d)) d USING (doc_id)",
        files,
    )


def _first_gate(rules: dict[str, list[Rule]], order: Sequence[str]) -> str:
    """SQL: the first gate that drops a document, or NULL. Gates without rules decide as they did."""
    cases = []
    for gate in order:
        name = text_of(gate)
        if gate in rules:
            failing = " OR ".join(f"NOT ({condition(r)})" for r in rules[gate])
            cases.append(f"WHEN {failing} THEN {name}")
        else:
            cases.append(f"WHEN before = {name} THEN {name}")
    return f"CASE {' '.join(cases)} END"


def condition(rule: Rule) -> str:
    """SQL that is true where a document passes a rule."""
    column = name_of(rule.signal)
    if rule.one_of is not None:
        listed = ", ".join(text_of(str(v)) for v in rule.one_of)
        return f"{column} IS NULL OR {column} IN ({listed})"
    parts = [f"NOT isnan({column})"]
    for bound, sign in (("min", ">="), ("max", "<=")):
        value = _bound(rule, bound)
        if value != "NULL":
            parts.append(f"({value} IS NULL OR {column} {sign} {value})")
    return f"{column} IS NULL OR ({' AND '.join(parts)})"


def _bound(rule: Rule, bound: str) -> str:
    base = getattr(rule, bound)
    default = "NULL" if base is None else repr(float(base))
    cases = [
        f"WHEN language = {text_of(lang)} THEN {float(own[bound])!r}"
        for lang, own in rule.by_language.items()
        if bound in own
    ]
    return f"(CASE {' '.join(cases)} ELSE {default} END)" if cases else default


def _side(connection: duckdb.DuckDBPyConnection, where: str, top: int) -> Side:
    documents, size = connection.execute(
        f"SELECT count(*), coalesce(sum(bytes), 0)::BIGINT FROM verdict WHERE {where}"
    ).fetchall()[0]
    names = (
        "SELECT coalesce({0}, '') AS name, count(*) AS documents, sum(bytes)::BIGINT AS bytes FROM verdict WHERE {1} "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {top}"
    )
    languages, hosts = (
        tuple(GroupBytes(*r) for r in connection.sql(names.format(column, where)).fetchall())
        for column in ("language", "host")
    )
    examples = connection.execute(f"SELECT url FROM verdict WHERE {where} ORDER BY url LIMIT {top}").fetchall()
    return Side(documents, size, languages, hosts, tuple(r[0] for r in examples))


def _total(connection: duckdb.DuckDBPyConnection, column: str) -> Size:
    """Documents that are kept by the decisions in a column."""
    query = f"SELECT count(*), coalesce(sum(bytes), 0)::BIGINT FROM verdict WHERE {column} IS NULL"
    return Size(*connection.execute(query).fetchall()[0])
