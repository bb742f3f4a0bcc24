"""Records that a crash or a hand has damaged: redone, or named; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.look.run import open_run
from pipeline.look.verify import verify
from tests.conftest import run


@pytest.mark.parametrize("content", ["{", "null", "[]", "{}", '{"inputs": {}, "outputs": []}'])
def test_a_damaged_shard_record_is_named_and_its_shard_done_again(corpus: Path, tmp_path: Path, content: str) -> None:
    done = run(corpus, tmp_path / "runs", last="extract")
    step = done.need("extract")
    record = step.dir / "shards" / "00001.json"
    whole = record.read_bytes()
    record.write_text(content)
    (problems,) = verify(open_run(done.root)).steps.values()
    assert any(p.startswith("shards/00001.json: damaged") for p in problems)
    (step.dir / "manifest.json").unlink()
    again = run(corpus, tmp_path / "runs", last="extract")
    assert again.need("extract").file_hashes == step.file_hashes
    assert record.read_bytes() != content.encode()
    assert len(record.read_bytes()) == pytest.approx(len(whole), abs=20)


def test_a_damaged_list_of_steps_is_named(corpus: Path, tmp_path: Path) -> None:
    done = run(corpus, tmp_path / "runs", last="extract")
    (done.root / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: damaged"):
        open_run(done.root)
