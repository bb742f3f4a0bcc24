"""What a crash, a disk or a hand has damaged is named, and mended by the command that made it; never a traceback."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.core.errors import DamagedInput, DataError
from pipeline.core.hashes import Hashes
from pipeline.look.run import open_run
from pipeline.look.verify import verify, verify_folder
from pipeline.run.limits import Limits
from pipeline.run.run import run_recipe
from pipeline.run.session import load_recipe
from tests.command import within
from tests.conftest import TOKENS, corpus_rows, run, write_jsonl, write_recipe

EVERY = int(os.environ.get("WINNOW_DAMAGE", "24"))  # each so many of the trials; 1 for all of them
TIMES = ("seconds", "cpu_seconds", "sha256")  # of a record, with its own hash: what another attempt may change


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove(path: Path) -> None:
    path.unlink()


WAYS = {"flip": flip, "cut": cut, "remove": remove}


def content(path: Path) -> object:
    """Bytes of a file; for the record of a shard, what does not tell how long it took."""
    if path.parent.name == "shards":
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in TIMES}
    return path.read_bytes()


@dataclass(frozen=True)
class Finished:
    """A run with the content of all its files."""

    recipe: Path
    root: Path
    files: dict[Path, object]

    def again(self, check: str = "read") -> None:
        hashes = Hashes("all" if check == "all" else "read")
        run_recipe(load_recipe(self.recipe, ()), self.root.parent, limits=Limits(1), last="tokenize", hashes=hashes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("damage")
    rows = corpus_rows()
    for i in range(2):
        write_jsonl(folder / "texts" / f"{i}.jsonl", rows[i::2])
    body = '[extract]\ninputs = ["texts"]\nshard_bytes = 9000\n[curate]\ngates = ["gopher_quality", "minhash", "pii"]\n'
    recipe = write_recipe(folder, body + TOKENS)
    root = run(recipe, folder / "runs", last="tokenize").root
    assert verify_folder(root).whole
    return Finished(recipe, root, {p: content(p) for p in sorted(root.rglob("*")) if p.is_file() and p.stat().st_size})


@pytest.mark.parametrize("way", WAYS)
def test_damage_to_any_file_is_named_and_mended_to_the_same_bytes(whole: Finished, way: str) -> None:
    first = list(WAYS).index(way) * EVERY // len(WAYS)
    for path in list(whole.files)[first::EVERY]:
        name = path.relative_to(whole.root)
        WAYS[way](path)
        problems = [p for found in verify_folder(whole.root).steps.values() for p in found]
        assert problems, f"{way} {name}: not found"
        where = verify_folder(whole.root).steps
        assert any(path.name in p for p in problems) or where.get(path.name), f"{way} {name}: {problems}"
        whole.again()
        assert verify_folder(whole.root).whole, f"{way} {name}: {verify_folder(whole.root).steps}"
        assert content(path) == whole.files[path], f"{way} {name}: other bytes"
    now = {p for p in whole.root.rglob("*") if p.is_file() and p.stat().st_size}
    assert now == set(whole.files)


@pytest.mark.parametrize("command", ["curate", "tokenizer train", "export"])
def test_damage_to_what_a_single_command_made_is_named_and_mended(
    whole: Finished, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "out.json"
    extracted = open_run(whole.root).need("extract").dir
    words: dict[str, list[object]] = {
        "curate": ["curate", extracted, "--recipe", whole.recipe, "--out", out, "--workers", "1"],
        "tokenizer train": ["tokenizer", "train", extracted, "--recipe", whole.recipe, "--out", out, "--workers", "1"],
        "export": ["export", whole.root, "--format", "nanogpt", "--out", out],
    }
    assert within(*words[command])[0] == 0
    assert within("verify", out)[0] == 0
    files = {p: content(p) for p in sorted(tmp_path.rglob("*")) if p.is_file() and p.stat().st_size}
    for i, path in enumerate(list(files)[:: 1 if EVERY == 1 else 9]):
        for way in list(WAYS)[i % len(WAYS) :][:1] if EVERY > 1 else WAYS:
            if path == out and way == "remove":
                continue  # there is nothing then that could be looked at
            WAYS[way](path)
            assert within("verify", out)[0] == 1, f"{way} {path}"
            assert within(*words[command])[0] == 0, f"{way} {path}"
            assert within("verify", out)[0] == 0, f"{way} {path}"
            assert content(path) == files[path], f"{way} {path}"


def rot(path: Path) -> None:
    """Other bytes that no time tells of: the disk itself did it. Whoever can't set the clock back makes a copy: here the
    manifest and the records are touched later."""
    flip(path)
    for later in (*path.parents[1].glob("shards/*.json"), path.parents[1] / "manifest.json"):
        os.utime(later)


@pytest.mark.parametrize("stage", ["extract", "curate"])
def test_bytes_that_rotted_are_found_by_the_step_that_reads_them(whole: Finished, tmp_path: Path, stage: str) -> None:
    root = tmp_path / "runs" / whole.root.name
    shutil.copytree(whole.root, root)
    sets = ("curate.gopher_quality.too_few_words.min=5",) if stage == "extract" else ("tokenize.vocab_size=300",)
    rot(open_run(root).need(stage).files("data")[1])
    assert not verify_folder(root).whole
    found = run(whole.recipe, tmp_path / "runs", last="tokenize", sets=sets)
    assert verify_folder(root).whole
    assert found.need("extract").file_hashes == open_run(whole.root).need("extract").file_hashes


def test_bytes_that_rotted_are_found_where_all_is_hashed(whole: Finished) -> None:
    path = open_run(whole.root).need("tokenize").files("train")[0]
    rot(path)
    whole.again()
    assert content(path) != whole.files[path]
    whole.again(check="all")
    assert content(path) == whole.files[path]


def test_a_command_names_what_it_cannot_make_again(whole: Finished, tmp_path: Path) -> None:
    step = tmp_path / "extract"
    shutil.copytree(open_run(whole.root).need("extract").dir, step)
    rot(step / "data" / "00001.parquet")
    words = ("curate", step, "--recipe", whole.recipe, "--out", tmp_path / "out", "--workers", "1")
    code, said = within(*words)
    assert code == 1
    assert "data/00001.parquet" in said
    assert not list((tmp_path / "out").rglob("manifest.json"))


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


def test_a_stranger_in_a_step_is_named(whole: Finished) -> None:
    stranger = open_run(whole.root).need("curate").dir / "data" / "copy of 00000.parquet"
    stranger.touch()
    problems = verify_folder(whole.root).steps
    stranger.unlink()
    assert any("data/copy of 00000.parquet: no manifest names it" in p for p in problems.values())


def test_a_damaged_input_says_its_paths() -> None:
    error = DamagedInput("curate-1", [Path(f"{i}") for i in range(7)])
    assert "0, 1, 2, 3, 4 and 2 more" in str(error)
    assert len(error.paths) == 7
