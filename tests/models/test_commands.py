"""Models of one's own, from the command line into a recipe."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.look.run import table_of
from tests.command import printed
from tests.conftest import article, run, write_jsonl


def test_classifier_and_language_model_from_the_command_line(tmp_path: Path) -> None:
    good = write_jsonl(tmp_path / "good.jsonl", [{"text": article(i % 31, 60) + f" {i}"} for i in range(150)])
    bad = tmp_path / "bad.txt"
    bad.write_text("".join(f"buy cheap pills now best price click here offer {i}\n" for i in range(150)))
    out = tmp_path / "q.bin"
    table = printed("classifier", "train", "--positive", good, "--negative", bad, "--out", out)
    assert "AUC 1.000" in table
    assert (tmp_path / "q.md").is_file()
    assert "AUC 1.000" in printed("classifier", "eval", out, "--positive", good, "--negative", bad)
    facts = json.loads(printed("lm", "train", good, "--out", tmp_path / "en.npz", "--cut-on", good, "--cut-on", bad))
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
