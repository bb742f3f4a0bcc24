"""Packing, shards, the reader: every token once, provenance that holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.look.run import Run, table_of
from tokenize_stage.config import EOS, TokenizeConfig
from tokenize_stage.pack import pack
from tokenize_stage.reader import TokenShards
from tokenize_stage.vocabulary import load_tokenizer, token_bytes, tokenizer_file

DOCS = st.lists(st.lists(st.integers(0, 400), max_size=40), max_size=20)


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
