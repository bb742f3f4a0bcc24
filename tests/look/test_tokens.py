"""Looking into token shards, and into the batch of a training step."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.look.inspect import inspect
from pipeline.look.run import Run, table_of
from pipeline.look.tokens import ShardGlance, batch_of_step, look_at_shard
from tests.command import winnow
from tokenize_stage.reader import TokenShards
from tokenize_stage.vocabulary import load_tokenizer, tokenizer_file


def test_inspect_decodes_token_rows(finished: Run) -> None:
    found = inspect(finished.need("tokenize").files("train")[0], rows=2)
    assert isinstance(found, ShardGlance)
    assert found.kind == "tokens"
    assert "".join(found.rows[0].documents[0].pieces).strip()


def test_a_step_leads_to_its_documents(finished: Run) -> None:
    batch = batch_of_step(finished.root, 2)
    trained = finished.need("train").params
    rows = int(trained["batch_rows"])
    assert len(batch.rows) == rows
    assert batch.position == rows
    ids, real = TokenShards(finished.need("tokenize"), "train", seed=int(trained["seed"])).take(rows, rows)
    tokenizer = load_tokenizer(tokenizer_file(finished.need("tokenizer")))
    texts = dict(zip(*(table_of(finished.need("curate"), "data")[c].to_pylist() for c in ("url", "text")), strict=True))
    for parts, row, n in zip(batch.rows, ids, real, strict=True):
        assert parts[-1].end == n
        for part in parts:
            piece = tokenizer.decode(row[part.start : part.end].tolist(), skip_special_tokens=True)
            assert piece in texts[part.url]
    assert "step 2" in winnow("inspect", finished.root, "--step", 2).stdout
    with pytest.raises(UsageError, match="--batch-rows"):
        batch_of_step(finished.need("tokenize").dir, 1)


def test_inspect_shows_tokens_documents_and_checksum(finished: Run, tmp_path: Path) -> None:
    path = finished.need("tokenize").files("train")[0]
    found = look_at_shard(path, rows=2)
    step = finished.need("tokenize")
    assert found.sha256 == found.sha256_of_manifest == step.file_hashes[f"train/{path.name}"]
    assert found.tokens + found.padding == found.num_rows * 65
    assert sum(s.tokens for s in found.sources) == found.tokens
    assert found.documents <= found.pieces
    texts = set(table_of(finished.need("curate"), "data")["text"].to_pylist())
    for row in found.rows:
        for part in row.documents:
            text = "".join(t for t in part.pieces if not t.startswith("<"))
            assert any(text in whole for whole in texts)
    other = tmp_path / "other.json"
    other.write_text(tokenizer_file(finished.need("tokenizer")).read_text() + "\n")
    with pytest.raises(UsageError, match="not the tokenizer that made"):
        look_at_shard(path, tokenizer=other)
    shown = winnow("inspect", path, "--rows", 1).stdout
    assert [w in shown for w in ("as the manifest says", "all.jsonl", "|", "most frequent")] == [True] * 4
