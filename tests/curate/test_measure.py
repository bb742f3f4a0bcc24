"""Signals alone: one that fails on a document has no value there, and every other value is as it would be."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import WinnowError
from tests.command import within
from tests.conftest import article, write_jsonl

PLUGIN = """from pipeline.core.registry import signal
@signal('odd', batch=True)
def odd(docs):
    if any('BAD' in d.text for d in docs):
        raise RuntimeError('cannot')
    return [1.0] * len(docs)
"""


@pytest.mark.parametrize("bad", [1, 20])
def test_a_signal_that_fails_on_a_document_leaves_the_others(tmp_path: Path, bad: int) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)
    (tmp_path / "r.toml").write_text('name = "r"\nplugins = ["plug.py"]\n')
    rows = [{"url": f"http://a.test/{i}", "text": article(i) + (" BAD" if i < bad else "")} for i in range(20)]
    texts = write_jsonl(tmp_path / "texts.jsonl", rows)
    code, said = within(
        "signals", texts, "--out", tmp_path / "out", "--recipe", tmp_path / "r.toml", "--names", "odd,word_count"
    )
    if bad == 20:
        assert (code, "signal 'odd': RuntimeError: cannot (plug.py:5); and so on for all 20" in said) == (
            WinnowError.exit_code,
            True,
        )
        return
    assert code == 0, said
    found = pq.read_table(tmp_path / "out" / "signals" / "00000.parquet").to_pylist()
    assert [r["odd"] for r in found] == [None] + [1.0] * 19
    assert all(r["word_count"] for r in found)
