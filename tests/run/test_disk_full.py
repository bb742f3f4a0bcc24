"""No room: an error that names the file and what is free, nothing half written, and the same bytes when there is room again."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.dataset import open_dataset
from pipeline.look.run import Run, open_run
from pipeline.look.verify import verify_folder
from tests.command import within
from tests.conftest import TOKENS, TRAIN, run, write_recipe

FULL = re.compile(r"the file grew too large \([\d,.]+ MB free there\)\. With room again the same command goes on\.")


@contextmanager
def room(file_bytes: int) -> Iterator[None]:
    """No file may grow beyond that: the kernel then answers as it does on a full disk, with another number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def starved(place: Path, *words: object, first: int = 300) -> set[str]:
    """Run a command with more and more room until it ends well; the files that it named on the way."""
    named: set[str] = set()
    size = first
    while True:
        with room(size):
            code, said = within(*words)
        if code == 0:
            return named
        assert code == 1, said
        assert FULL.search(said), said
        left = [p for p in place.rglob("*") if p.name.startswith(".tmp-")]
        assert left == [], said
        named |= set(re.findall(r"[\w.-]+-[0-9a-f]{8} shard", said)) or {said.split(": the file")[0].rpartition("/")[2]}
        size *= 2


def test_a_run_without_room_says_so_at_any_stage_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    whole = run(corpus, tmp_path / "whole", last="tokenize")
    named = starved(
        tmp_path / "starved", "run", corpus, "--runs", tmp_path / "starved", "--to", "tokenize", "--workers", "1"
    )
    assert {n.split("-")[0] for n in named} >= {"extract", "tokenizer"} or len(named) > 3, named
    found = open_run(tmp_path / "starved" / whole.root.name)
    assert {s: step.file_hashes for s, step in found.steps.items()} == {
        s: step.file_hashes for s, step in whole.steps.items()
    }
    assert verify_folder(found.root).whole


def test_a_pool_without_room_says_so(corpus: Path, tmp_path: Path) -> None:
    with room(3_000):
        code, said = within("run", corpus, "--runs", tmp_path / "runs", "--to", "curate", "--workers", "2")
    assert code == 1
    assert FULL.search(said), said
    assert not [p for p in (tmp_path / "runs").rglob("*") if p.name.startswith(".tmp-")]


@pytest.mark.parametrize("form", ["megatron", "hf"])
def test_an_export_without_room_says_so_and_goes_on(finished: Run, tmp_path: Path, form: str) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert within("export", finished.root, "--format", form, "--out", whole)[0] == 0
    assert starved(out, "export", finished.root, "--format", form, "--out", out)
    assert open_dataset(out).file_hashes == open_dataset(whole).file_hashes
    assert verify_folder(out).whole


def test_a_training_without_room_says_so_and_goes_on(finished: Run, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["x"]\n' + TOKENS + TRAIN)
    out = tmp_path / "out"
    tokenizer = finished.need("tokenizer").dir / "tokenizer" / "00000.json"
    command = ("train", finished.need("tokenize").dir, "--tokenizer", tokenizer, "--recipe", recipe, "--out", out)
    assert starved(out, *command, first=3_000)
    weights = "model/model.safetensors"
    assert open_dataset(out).file_hashes[weights] == finished.need("train").file_hashes[weights]
    assert verify_folder(out).whole


def test_models_and_indexes_without_room_say_so(corpus: Path, tmp_path: Path) -> None:
    texts, store = tmp_path / "texts", tmp_path / "index"
    words = ("dedup", "index", texts, "--out", store, "--set", 'curate.gates=["minhash"]', "--workers", "1")
    assert starved(store, *words)
    assert verify_folder(store).whole
    assert starved(tmp_path, "lm", "train", texts / "0.jsonl", "--out", tmp_path / "lm.npz", "--words", "50")
