"""Answers are typed all through, and JSON and terminal text are made from them in one place."""

from __future__ import annotations

import dataclasses
import importlib
import inspect as python
import json
import pkgutil
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pipeline.look
from pipeline.cli.main import app
from pipeline.cli.show import SHOWN, shown_by
from pipeline.core.answers import ABSENT, BARE, Json, as_json
from pipeline.look.clusters import clusters
from pipeline.look.explain import explain
from pipeline.look.inspect import inspect
from pipeline.look.near import nearest
from pipeline.look.rule_sets import rule_set, rule_sets
from pipeline.look.rules import rule_table
from pipeline.look.run import Run
from pipeline.look.stats import histogram, stats
from pipeline.look.tokens import batch_of_step
from pipeline.look.verify import verify
from pipeline.look.whatif import whatif


def type_named(name: str) -> type:
    module, _, kind = name.rpartition(".")
    found: type = getattr(importlib.import_module(module), kind)
    return found


def parts_of(hint: object) -> Iterator[object]:
    """A type, and what it is made of."""
    yield hint
    if hint is not Json:
        for part in typing.get_args(hint):
            yield from parts_of(part)


def types_in(kind: type) -> dict[str, object]:
    """Every field of a dataclass and of those inside it: "CLASS.FIELD" -> its type."""
    found: dict[str, object] = {}
    todo, seen = [kind], set()
    while todo:
        each = todo.pop()
        seen.add(each)
        for name, hint in typing.get_type_hints(each).items():
            found[f"{each.__name__}.{name}"] = hint
            for part in parts_of(hint):
                whole = isinstance(part, type) and (dataclasses.is_dataclass(part) or issubclass(part, tuple))
                if isinstance(part, type) and whole and part not in seen and part.__module__ != "builtins":
                    todo.append(part)
    return found


@pytest.mark.parametrize("name", [*SHOWN])
def test_no_field_of_an_answer_is_any(name: str) -> None:
    kind = type_named(name)
    assert dataclasses.is_dataclass(kind)
    for field, hint in types_in(kind).items():
        assert typing.Any not in parts_of(hint), field


@pytest.mark.parametrize("name", [*SHOWN])
def test_every_answer_is_shown_by_a_function_for_its_type(name: str) -> None:
    hints = typing.get_type_hints(shown_by(name))
    first = hints[next(iter(python.signature(shown_by(name)).parameters))]
    assert type_named(name) in parts_of(first)


def test_what_looking_returns_is_frozen_and_has_no_any() -> None:
    modules = [importlib.import_module(f"pipeline.look.{m.name}") for m in pkgutil.iter_modules(pipeline.look.__path__)]
    kinds = [
        k
        for m in modules
        for _, k in python.getmembers(m, python.isclass)
        if k.__module__ == m.__name__ and dataclasses.is_dataclass(k) and k is not Run
    ]
    assert len(kinds) > 40
    for kind in kinds:
        assert kind.__hash__ is not None, kind  # of a dataclass with comparison: it is frozen
        for field, hint in types_in(kind).items():
            assert typing.Any not in parts_of(hint), field
    functions = [
        f
        for m in modules
        for n, f in python.getmembers(m, python.isfunction)
        if f.__module__ == m.__name__ and not n.startswith("_") and n not in ("rows_where", "table_of", "of_row")
    ]
    for function in functions:
        returned = typing.get_type_hints(function)["return"]
        assert typing.Any not in parts_of(returned), function
        assert dict not in [typing.get_origin(p) for p in parts_of(returned)], function


def test_json_of_a_command_is_that_of_its_answer(finished: Run) -> None:
    root, shard = finished.root, finished.need("tokenize").files("train")[0]
    change = "toxicity.too_many_toxic_words.max=1"
    asked: dict[tuple[object, ...], object] = {
        ("stats", root): stats(finished),
        ("stats", root, "--signal", "word_count"): histogram(finished, "word_count"),
        ("stats", root, "--signal", "language"): histogram(finished, "language"),
        ("stats", root, "--rules"): rule_table(finished),
        ("stats", root, "--signal", "word_count", "--near", 60): nearest(finished, "word_count", 60),
        ("explain", root, "http://keep0.test/0"): explain(finished, "http://keep0.test/0"),
        ("explain", root, "http://exact.test/1"): explain(finished, "http://exact.test/1"),
        ("whatif", root, "--set", change): whatif(finished, [change]),
        ("verify", root): verify(finished),
        ("inspect", shard): inspect(shard),
        ("inspect", root): inspect(root),
        ("inspect", finished.need("curate").dir): inspect(finished.need("curate").dir),
        ("inspect", finished.need("curate").files("data")[0]): inspect(finished.need("curate").files("data")[0]),
        ("inspect", root, "--step", 2): batch_of_step(root, 2),
        ("inspect", "clusters", root): clusters(finished),
        ("rules", "list"): rule_sets(),
        ("rules", "show", "c4"): rule_set("c4"),
    }  # fmt: skip
    for words, answer in asked.items():
        done = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
        assert json.loads(done.output) == as_json(answer), words
        plain = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
        assert plain.exit_code == 0
        assert plain.output.strip(), words


def test_looking_changes_nothing(finished: Run) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.root.rglob("*")}
    for look in (stats, rule_table, verify, clusters):
        look(finished)
    assert before == {p: p.stat().st_mtime_ns for p in finished.root.rglob("*")}


@dataclasses.dataclass(frozen=True)
class Inner:
    from_: float
    note: str | None = dataclasses.field(default=None, metadata=ABSENT)


@dataclasses.dataclass(frozen=True)
class Outer:
    found: tuple[Inner, ...]
    missing: None
    key: bytes
    when: datetime
    where: Path


@dataclasses.dataclass(frozen=True)
class Bare:
    by_name: dict[str, Inner] = dataclasses.field(metadata=BARE)


def test_json_of_each_kind_of_value() -> None:
    when = datetime(2024, 1, 2, tzinfo=UTC)
    answer = Outer((Inner(1.5), Inner(2.0, "x")), None, b"\x01\xff", when, Path("a/b"))
    assert as_json(answer) == {
        "found": [{"from": 1.5}, {"from": 2.0, "note": "x"}],
        "missing": None,
        "key": "01ff",
        "when": "2024-01-02 00:00:00+00:00",
        "where": "a/b",
    }
    assert as_json(Bare({"one": Inner(1)})) == {"one": {"from": 1}}
    assert as_json((types.SimpleNamespace, [True, None])) == [str(types.SimpleNamespace), [True, None]]
