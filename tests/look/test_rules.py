"""Choosing and trusting filters: rule sets on show, what each rule alone drops, documents near a threshold, bias."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UsageError
from pipeline.look.near import nearest
from pipeline.look.representation import representation
from pipeline.look.rules import rule_table
from pipeline.look.run import Run, rules_of, table_of
from pipeline.look.whatif import whatif
from tests.command import printed
from tests.conftest import article, run, write_jsonl


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("rules")
    rows: list[dict[str, Any]] = [{"text": article(i), "url": f"http://h{i % 3}.test/{i}"} for i in range(30)]
    rows += [{"text": " ".join(article(i).split()[: 20 + i]), "url": f"http://short.test/{i}"} for i in range(28)]
    gay = "My neighbour is gay and runs the bakery. "
    rows += [{"text": gay + " ".join(article(i).split()[:25]), "url": f"http://gay.test/{i}"} for i in range(25)]
    rows += [{"text": "same words again and again here now. " * n, "url": f"http://rep.test/{n}"} for n in (3, 30)]
    write_jsonl(folder / "in.jsonl", rows)
    recipe = folder / "r.toml"
    recipe.write_text(
        'name = "r"\n[extract]\ninputs = ["in.jsonl"]\n'
        '[curate]\ngates = ["language:en", "gopher_quality", "gopher_repetition", "toxicity", "pii", "exact"]\n'
    )
    return run(recipe, folder / "runs", last="curate")


def test_rule_table_is_what_counting_by_hand_gives(done: Run) -> None:
    curate = done.need("curate")
    signals = {r["doc_id"]: r for r in table_of(curate, "signals").to_pylist()}
    rules = [(g, r) for g, each in rules_of(curate) for r in each]
    gates = {d["doc_id"]: d["gate"] for d in table_of(curate, "decisions").to_pylist()}
    failing = {
        k: {f"{g}.{r.reason}" for g, r in rules if not r.passes(s.get(r.signal), s.get("language"))}
        for k, s in signals.items()
    }
    found = rule_table(done, top_pairs=1_000)
    assert found.documents == len(signals)
    for row in found.rules:
        name = f"{row.gate}.{row.reason}"
        fails = [k for k, f in failing.items() if name in f]
        assert row.fails == len(fails), name
        assert row.unique == sum(failing[k] == {name} and gates.get(k) not in ("pii", "exact") for k in fails), name
    assert any(r.unique for r in found.rules)
    for pair in found.pairs:
        both = sum({pair.a, pair.b} <= f for f in failing.values())
        either = sum(bool({pair.a, pair.b} & f) for f in failing.values())
        assert pair.both == both
        assert pair.jaccard == pytest.approx(both / either)


def test_unique_kills_are_what_whatif_gains_without_the_rule(done: Run) -> None:
    row = next(r for r in rule_table(done).rules if r.reason == "too_few_words")
    assert whatif(done, ["gopher_quality.too_few_words.min=0"]).gained.documents == row.unique > 0


def test_nearest_documents_lie_on_both_sides(done: Run) -> None:
    found = nearest(done, "word_count", count=3)
    assert found.value == 50
    below, above = ([r.value for r in side] for side in (found.below, found.above))
    assert below == sorted(below, reverse=True)
    assert above == sorted(above)
    assert max(below) < 50 <= min(above)
    assert all(r.dropped_by for r in found.below)
    assert all(r.text for r in found.below + found.above)
    assert nearest(done, "alpha_word_frac", 0.5).value == 0.5
    with pytest.raises(UsageError, match="Did you mean 'word_count'"):
        nearest(done, "word_cont", 3)


def test_representation_shows_who_is_removed(done: Run) -> None:
    found = representation(done)
    groups = {(g.kind, g.name): g for g in found.groups}
    gay = groups["identity term", "gay"]
    assert gay.documents == 25
    assert gay.removed == sum(gay.gates.values())
    assert gay.rate > found.rate
    assert found.removed == sum(found.by_gate.values()) == table_of(done.need("curate"), "decisions").num_rows


def test_looking_commands_print_and_give_json(done: Run, tmp_path: Path) -> None:
    assert "unique" in printed("stats", done.root, "--rules")
    assert "below" in printed("stats", done.root, "--signal", "word_count", "--samples", 2)
    assert "identity term" in printed("representation", done.root)
    for words in (
        ("stats", done.root, "--rules"),
        ("representation", done.root),
        ("rules", "list"),
        ("rules", "show", "c4"),
    ):
        json.loads(printed(*words, "--json"))
    listed = printed("rules", "list")
    shown = printed("rules", "show", "fineweb_paper")
    assert "Penedo" in listed
    assert "<= 0.1" in shown
    assert "lorem_ipsum" in printed("rules", "show", "c4")
