"""Training, the model and what is made of it: resume that is exact, the same weights anywhere, honest bits per byte."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.core.bench import Bench
from pipeline.core.errors import UsageError
from pipeline.core.events import Event, TaskNote
from pipeline.core.executor import PoolExecutor
from pipeline.look.run import Run
from tokenize_stage.vocabulary import load_tokenizer, token_bytes, tokenizer_file
from train import preflight
from train.checkpoint import load_model
from train.config import TrainConfig
from train.evaluate import score_model, validation_rows
from train.generate import generate, pick
from train.loop import train
from train.model import Decoder, ModelConfig


def small(**changes: Any) -> TrainConfig:
    base = {"layers": 1, "width": 64, "steps": 6, "batch_rows": 2, "eval_every": 3, "eval_rows": 4, "warmup_steps": 2}
    return TrainConfig(**{**base, "checkpoint_every": 2, "threads": 1, "prompts": [], **changes})


def test_resumed_training_ends_in_the_same_weights(finished: Run, tmp_path: Path) -> None:
    tokenizer, shards = tokenizer_file(finished.need("tokenizer")), finished.need("tokenize")
    whole = train(small(), shards, tokenizer, Bench(tmp_path / "whole"))

    def stop(event: Event) -> None:
        if isinstance(event, TaskNote) and event.facts["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(), shards, tokenizer, Bench(tmp_path / "cut", told=stop))
    heard: list[Event] = []
    cut = train(small(), shards, tokenizer, Bench(tmp_path / "cut", told=heard.append))
    assert [e.facts["step"] for e in heard if isinstance(e, TaskNote)] == [5, 6]
    a, b = (load_file(d.dir / "model" / "model.safetensors") for d in (whole, cut))
    assert all(torch.equal(a[k], b[k]) for k in a)
    logs = [[json.loads(x) for x in (d.dir / "model" / "log.jsonl").read_text().splitlines()] for d in (whole, cut)]
    assert [(r["step"], r["loss"]) for r in logs[0]] == [(r["step"], r["loss"]) for r in logs[1]]


def test_a_worker_of_a_pool_trains_the_same_weights_and_tells(finished: Run, tmp_path: Path) -> None:
    tokenizer, shards = tokenizer_file(finished.need("tokenizer")), finished.need("tokenize")
    here, heard = train(small(), shards, tokenizer, Bench(tmp_path / "here")), list[Event]()
    pool = PoolExecutor(2)
    there = train(small(), shards, tokenizer, Bench(tmp_path / "there", pool, told=heard.append))
    pool.close()
    names = ("model/model.safetensors", "model/config.json", "model/tokenizer.json")
    assert [here.file_hashes[n] for n in names] == [there.file_hashes[n] for n in names]
    notes = [e.facts for e in heard if isinstance(e, TaskNote)]
    log = [json.loads(x) for x in (there.dir / "model" / "log.jsonl").read_text().splitlines()]
    assert [(f["step"], f["loss"], f["tokens_per_s"]) for f in notes] == [
        (r["step"], r["loss"], r["tokens_per_s"]) for r in log
    ]
    assert {f["steps"] for f in notes} == {6}
    assert [f["step"] for f in notes if "validation_bits_per_byte" in f] == [3, 6]


def test_training_beats_its_own_start(finished: Run, tmp_path: Path) -> None:
    tokenizer, shards = tokenizer_file(finished.need("tokenizer")), finished.need("tokenize")
    made = train(small(steps=40, lr=3e-3, checkpoint_every=100), shards, tokenizer, Bench(tmp_path))
    log = [json.loads(x) for x in (made.dir / "model" / "log.jsonl").read_text().splitlines()]
    assert log[0]["loss"] == pytest.approx(math.log(shards.manifest["vocab_size"]), rel=0.1)
    assert log[-1]["loss"] < log[0]["loss"] - 0.5


def test_another_tokenizer_is_refused(finished: Run, tmp_path: Path) -> None:
    other = tmp_path / "tokenizer.json"
    shutil.copy(tokenizer_file(finished.need("tokenizer")), other)
    other.write_text(other.read_text() + "\n")
    with pytest.raises(UsageError, match="not the tokenizer that made"):
        train(small(), finished.need("tokenize"), other, Bench(tmp_path))


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


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight.require_torch()
    monkeypatch.setattr(preflight, "NEEDED", ("torch", "no_such_library"))
    with pytest.raises(UsageError, match=r"training needs the extra 'train' \(no_such_library is not installed\)"):
        preflight.require_torch()
