"""Packing, shards, the reader and the model: every token once, provenance that holds, resume that is exact."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pipeline.cli.stages import tokenizer_file
from pipeline.core.errors import UsageError
from pipeline.core.step import Workspace
from pipeline.look.run import Run, table_of
from tokenize_stage.config import EOS, TokenizeConfig
from tokenize_stage.pack import pack
from tokenize_stage.reader import TokenShards
from tokenize_stage.vocabulary import load_tokenizer, token_bytes
from train.checkpoint import load_model
from train.config import TrainConfig
from train.evaluate import score_model, validation_rows
from train.generate import generate, pick
from train.loop import train
from train.model import Decoder, ModelConfig

DOCS = st.lists(st.lists(st.integers(0, 400), max_size=40), max_size=20)


def decode_rows(run: Run, rows: list[dict[str, Any]]) -> str:
    """Text of a document, put together from the token rows that `explain` names."""
    step = run.need("tokenize")
    ids: list[int] = []
    for r in rows:
        table = pq.read_table(step.dir / r["split"] / f"{r['shard']:05d}.parquet")
        ids += np.frombuffer(table["tokens"][r["row"]].as_py(), "<u2")[r["start"] : r["end"]].tolist()
    text: str = load_tokenizer(tokenizer_file(run.need("tokenizer"))).decode(ids, skip_special_tokens=False)
    return text


@settings(deadline=None)
@given(DOCS, st.integers(2, 70), st.sampled_from(["best_fit", "concat", "pad"]), st.integers(0, 9))
def test_packing_keeps_every_token_once(docs: list[list[int]], row_tokens: int, how: str, seed: int) -> None:
    lengths = np.array([len(d) + 1 for d in docs], np.int64)
    packed = pack(lengths, row_tokens=row_tokens, how=how)
    order = np.random.default_rng(seed).permutation(packed.rows)
    flat = np.array([t for d in docs for t in d], np.uint16)
    first = np.cumsum(lengths - 1) - (lengths - 1)
    rows = packed.fill(flat, first, 999, order)
    assert rows.shape == (packed.rows, row_tokens)
    seen: list[list[int]] = [[] for _ in docs]
    used = np.zeros(rows.shape, bool)
    place = np.argsort(order)
    for doc, at, size, row, start in sorted(packed.pieces.tolist()):
        assert at == len(seen[doc])
        assert not used[place[row], start : start + size].any()
        used[place[row], start : start + size] = True
        seen[doc] += rows[place[row], start : start + size].tolist()
    assert seen == [[*d, 999] for d in docs]
    assert (rows[~used] == 999).all()
    assert packed.padding == (~used).sum()


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), max_size=200), st.integers(2, 130))
def test_best_fit_cuts_only_what_is_longer_than_a_row(lengths: list[int], row_tokens: int) -> None:
    counts = pack(np.array(lengths, np.int64), row_tokens=row_tokens).counts
    assert counts["cut"] == sum(n > row_tokens for n in lengths)
    assert counts["cut_needlessly"] == 0
    # best-fit decreasing needs at most 11/9 of the best number of rows, and 1 (Johnson 1973); that is at least the tokens' own
    rests = sum(n % row_tokens for n in lengths)
    full = sum(n // row_tokens for n in lengths)
    halves = sum(2 * (n % row_tokens) > row_tokens for n in lengths)  # two of these share no row
    assert counts["rows"] - full <= 11 / 9 * max(2 * -(-rests // row_tokens), halves) + 1


def test_room_is_left_nowhere_where_lengths_allow() -> None:
    lengths = np.random.default_rng(0).lognormal(6, 1, 20_000).astype(np.int64) + 1
    best = pack(lengths, row_tokens=2_049)
    assert best.padding < 0.001 * best.rows * 2_049
    joined = pack(lengths, row_tokens=2_049, how="concat")
    assert joined.padding < 2_049
    assert joined.counts["cut"] > 4 * best.counts["cut"]


def test_a_row_without_a_target_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least an input and a target"):
        pack(np.zeros(0, np.int64), row_tokens=1)
    with pytest.raises(ValueError, match="no packing 'tight'"):
        pack(np.zeros(0, np.int64), row_tokens=8, how="tight")


@given(st.text())
@settings(max_examples=50)
def test_tokenizer_round_trips_any_text(finished: Run, text: str) -> None:
    tokenizer = load_tokenizer(tokenizer_file(finished.need("tokenizer")))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    if EOS not in text:
        assert sum(token_bytes(tokenizer)[i] for i in ids) == len(text.encode())


def test_split_is_by_hash_and_hosts_stay_together() -> None:
    by_host = TokenizeConfig(split_by="host", validation_fraction=0.5)
    sides = {h: {by_host.split_of(bytes([i]) * 16, h) for i in range(9)} for h in map(str, range(40))}
    assert all(len(s) == 1 for s in sides.values())
    assert {next(iter(s)) for s in sides.values()} == {"train", "validation"}


def test_no_document_is_on_both_sides_and_counts_add_up(finished: Run) -> None:
    step = finished.need("tokenize")
    sides = {s: {d for ids in table_of(step, s)["doc_ids"].to_pylist() for d in ids} for s in ("train", "validation")}
    assert not sides["train"] & sides["validation"]
    assert sides["train"] | sides["validation"] == set(table_of(finished.need("curate"), "data")["doc_id"].to_pylist())
    for side in sides:
        assert sum(table_of(step, side)["n_tokens"].to_pylist()) == step.counts[f"{side}_tokens"]


def test_reader_gives_every_row_once_per_epoch_in_any_portions(finished: Run) -> None:
    shards = TokenShards(finished.need("tokenize"), "train", seed=3, window=2)
    whole, _ = shards.take(0, 2 * shards.rows)
    parts = np.concatenate([shards.take(i, 1)[0] for i in range(2 * shards.rows)])
    assert (whole == parts).all()
    for epoch in (whole[: shards.rows], whole[shards.rows :]):
        assert sorted(r.tobytes() for r in epoch) == sorted(
            r.tobytes() for r in shards.read(list(range(shards.rows)))[0]
        )
    assert (whole[: shards.rows] != whole[shards.rows :]).any()


def small(**changes: Any) -> TrainConfig:
    base = {"layers": 1, "width": 64, "steps": 6, "batch_rows": 2, "eval_every": 3, "eval_rows": 4, "warmup_steps": 2}
    return TrainConfig(**{**base, "checkpoint_every": 2, "threads": 1, "prompts": [], **changes})


def test_resumed_training_ends_in_the_same_weights(finished: Run, tmp_path: Path) -> None:
    tokenizer, shards = tokenizer_file(finished.need("tokenizer")), finished.need("tokenize")
    whole = train(small(), shards, tokenizer, Workspace(tmp_path / "whole"))

    def stop(record: dict[str, Any]) -> None:
        if record["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(), shards, tokenizer, Workspace(tmp_path / "cut"), report=stop)
    seen: list[int] = []
    cut = train(small(), shards, tokenizer, Workspace(tmp_path / "cut"), report=lambda r: seen.append(r["step"]))
    assert seen == [5, 6]
    a, b = (load_file(d.dir / "model" / "model.safetensors") for d in (whole, cut))
    assert all(torch.equal(a[k], b[k]) for k in a)
    logs = [[json.loads(x) for x in (d.dir / "model" / "log.jsonl").read_text().splitlines()] for d in (whole, cut)]
    assert [(r["step"], r["loss"]) for r in logs[0]] == [(r["step"], r["loss"]) for r in logs[1]]


def test_training_beats_its_own_start(finished: Run, tmp_path: Path) -> None:
    tokenizer, shards = tokenizer_file(finished.need("tokenizer")), finished.need("tokenize")
    made = train(small(steps=40, lr=3e-3, checkpoint_every=100), shards, tokenizer, Workspace(tmp_path))
    log = [json.loads(x) for x in (made.dir / "model" / "log.jsonl").read_text().splitlines()]
    assert log[0]["loss"] == pytest.approx(math.log(shards.manifest["vocab_size"]), rel=0.1)
    assert log[-1]["loss"] < log[0]["loss"] - 0.5


def test_another_tokenizer_is_refused(finished: Run, tmp_path: Path) -> None:
    other = tmp_path / "tokenizer.json"
    shutil.copy(tokenizer_file(finished.need("tokenizer")), other)
    other.write_text(other.read_text() + "\n")
    with pytest.raises(UsageError, match="not the tokenizer that made"):
        train(small(), finished.need("tokenize"), other, Workspace(tmp_path))


def test_cached_generation_equals_full_forward(finished: Run) -> None:
    model = load_model(finished.need("train").dir)
    ids = torch.arange(20)[None]
    caches: list[list[torch.Tensor]] = [[] for _ in model.layers]
    with torch.no_grad():
        whole = model(ids)
        parts = [model(ids[:, :7], caches=caches)]
        parts += [model(ids[:, i : i + 1], at=i, caches=caches) for i in range(7, 20)]
    assert torch.allclose(whole, torch.cat(parts, 1), atol=1e-5)


def test_model_is_causal() -> None:
    torch.manual_seed(0)
    model = Decoder(ModelConfig.of(vocab_size=50, context=16, layers=2, width=192)).eval()
    assert model.config.kv_heads < model.config.heads
    a, b = torch.arange(16)[None], torch.arange(16)[None].clone()
    b[0, 10:] = 7
    with torch.no_grad():
        assert torch.equal(model(a)[:, :10], model(b)[:, :10])


def test_generation_is_seeded_and_longer_than_the_context(finished: Run) -> None:
    model, tokenizer = (
        load_model(finished.need("train").dir),
        load_tokenizer(tokenizer_file(finished.need("tokenizer"))),
    )
    one, two, other = (generate(model, tokenizer, "The", max_tokens=90, seed=s) for s in (1, 1, 2))
    assert one == two != other
    with pytest.raises(UsageError, match="top_p"):
        generate(model, tokenizer, "The", top_p=0.0)


def test_top_k_and_top_p_leave_only_the_probable() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    rng = torch.Generator().manual_seed(0)
    assert {pick(logits, 1.0, 2, 1.0, rng) for _ in range(200)} == {0, 1}
    assert {pick(logits, 1.0, 0, 0.79, rng) for _ in range(200)} == {0, 1}
    assert {pick(logits, 1.0, 0, 1.0, rng) for _ in range(400)} == {0, 1, 2, 3}
    assert pick(logits, 0.0, 0, 1.0, rng) == 0


def test_bits_per_byte_of_a_uniform_model(finished: Run) -> None:
    shards = finished.need("tokenize")
    ids, valid = validation_rows(shards, 0)
    lengths = np.asarray(token_bytes(load_tokenizer(tokenizer_file(finished.need("tokenizer")))))
    size = int(shards.manifest["vocab_size"])
    model = Decoder(ModelConfig.of(vocab_size=size, context=ids.shape[1] - 1, layers=1, width=64))
    torch.nn.init.zeros_(model.embed_tokens.weight)
    score = score_model(model, ids, valid, lengths)
    assert score.loss == pytest.approx(math.log(size), rel=1e-4)
    assert score.bits_per_byte == pytest.approx(math.log2(size) * score.tokens / score.bytes, rel=1e-4)
