"""Choosing and trusting filters: rule sets on show, what each rule alone drops, documents near a threshold, bias."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.core.errors import UsageError
from pipeline.look.explain import rules_of
from pipeline.look.near import nearest
from pipeline.look.representation import representation
from pipeline.look.rules import rule_table
from pipeline.look.run import Run, table_of
from pipeline.look.whatif import whatif
from tests.conftest import article, run, write_jsonl


def winnow(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


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
    assert found["documents"] == len(signals)
    for row in found["rules"]:
        name = f"{row['gate']}.{row['reason']}"
        fails = [k for k, f in failing.items() if name in f]
        assert row["fails"] == len(fails), name
        assert row["unique"] == sum(failing[k] == {name} and gates.get(k) not in ("pii", "exact") for k in fails), name
    assert any(r["unique"] for r in found["rules"])
    for pair in found["pairs"]:
        both = sum({pair["a"], pair["b"]} <= f for f in failing.values())
        either = sum(bool({pair["a"], pair["b"]} & f) for f in failing.values())
        assert (pair["both"], pair["jaccard"]) == (both, pytest.approx(both / either))


def test_unique_kills_are_what_whatif_gains_without_the_rule(done: Run) -> None:
    row = next(r for r in rule_table(done)["rules"] if r["reason"] == "too_few_words")
    assert whatif(done, ["gopher_quality.too_few_words.min=0"])["gained"]["documents"] == row["unique"] > 0


def test_nearest_documents_lie_on_both_sides(done: Run) -> None:
    found = nearest(done, "word_count", count=3)
    assert found["value"] == 50
    below, above = ([r["value"] for r in found[side]] for side in ("below", "above"))
    assert below == sorted(below, reverse=True)
    assert above == sorted(above)
    assert max(below) < 50 <= min(above)
    assert all(r["dropped_by"] for r in found["below"])
    assert all(r["text"] for r in found["below"] + found["above"])
    assert nearest(done, "alpha_word_frac", 0.5)["value"] == 0.5
    with pytest.raises(UsageError, match="Did you mean 'word_count'"):
        nearest(done, "word_cont", 3)


def test_representation_shows_who_is_removed(done: Run) -> None:
    found = representation(done)
    groups = {(g["kind"], g["name"]): g for g in found["groups"]}
    gay = groups["identity term", "gay"]
    assert gay["documents"] == 25
    assert gay["removed"] == sum(gay["gates"].values())
    assert gay["rate"] > found["rate"]
    assert found["removed"] == sum(found["by_gate"].values()) == table_of(done.need("curate"), "decisions").num_rows


def test_looking_commands_print_and_give_json(done: Run, tmp_path: Path) -> None:
    assert "unique" in winnow("stats", done.root, "--rules")
    assert "below" in winnow("stats", done.root, "--signal", "word_count", "--samples", 2)
    assert "identity term" in winnow("representation", done.root)
    for words in (
        ("stats", done.root, "--rules"),
        ("representation", done.root),
        ("rules", "list"),
        ("rules", "show", "c4"),
    ):
        json.loads(winnow(*words, "--json"))
    listed = winnow("rules", "list")
    shown = winnow("rules", "show", "fineweb_paper")
    assert "Penedo" in listed
    assert "<= 0.1" in shown
    assert "lorem_ipsum" in winnow("rules", "show", "c4")


def test_classifier_and_language_model_from_the_command_line(tmp_path: Path) -> None:
    good = write_jsonl(tmp_path / "good.jsonl", [{"text": article(i % 31, 60) + f" {i}"} for i in range(150)])
    bad = tmp_path / "bad.txt"
    bad.write_text("".join(f"buy cheap pills now best price click here offer {i}\n" for i in range(150)))
    out = tmp_path / "q.bin"
    table = winnow("classifier", "train", "--positive", good, "--negative", bad, "--out", out)
    assert "AUC 1.000" in table
    assert (tmp_path / "q.md").is_file()
    assert "AUC 1.000" in winnow("classifier", "eval", out, "--positive", good, "--negative", bad)
    facts = json.loads(winnow("lm", "train", good, "--out", tmp_path / "en.npz", "--cut-on", good, "--cut-on", bad))
    assert facts["cuts"][0] < facts["cuts"][1]
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "r"\n[extract]\ninputs = ["good.jsonl"]\n[curate]\ngates = ["language:en", "ccnet", "good"]\n'
        'rules = ["good.toml"]\n'
        '[signals.perplexity]\nmodel = "en.npz"\n[signals.quality]\nmodel = "q.bin"\n'
    )
    (tmp_path / "good.toml").write_text('name = "good"\n[[rule]]\nreason = "poor"\nsignal = "quality"\nmin = 0.5\n')
    finished = run(recipe, tmp_path / "runs", last="curate").need("curate")
    assert finished.counts["dropped"].get("good", 0) == 0
    buckets = table_of(finished, "signals")["perplexity_bucket"].to_pylist()
    assert set(buckets) <= {"head", "middle", "tail"}
