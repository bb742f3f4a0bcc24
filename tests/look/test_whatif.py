"""What other bounds would have decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import WinnowError
from pipeline.look.run import Run
from pipeline.look.whatif import whatif
from tests.conftest import article, run, write_jsonl, write_recipe


def test_whatif_agrees_with_a_rerun(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "t.jsonl", [{"url": f"http://a.test/{n}", "text": article(n, 20 + 4 * n)} for n in range(20)]
    )
    recipe = write_recipe(
        tmp_path, '[extract]\ninputs = ["t.jsonl"]\n[curate]\ngates = ["language:en", "gopher_quality"]\n'
    )
    first = run(recipe, tmp_path / "runs")
    change = "gopher_quality.too_few_words.min=80"
    asked = whatif(first, [change])
    again = run(recipe, tmp_path / "runs", sets=(f"curate.{change}",))
    assert asked.kept_before.documents == first.need("curate").counts["rows_out"]
    assert asked.kept_after.documents == again.need("curate").counts["rows_out"]
    assert asked.lost.documents > 0


def test_whatif_names_its_mistakes(finished: Run) -> None:
    with pytest.raises(WinnowError, match="Did you mean 'gopher_quality'"):
        whatif(finished, ["gopher_qualiti.too_few_words.min=3"])
    with pytest.raises(WinnowError, match="Did you mean 'too_few_words'"):
        whatif(finished, ["gopher_quality.too_few_wrds.min=3"])
