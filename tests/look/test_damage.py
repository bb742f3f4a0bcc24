"""Whatever is missing or damaged of a run: every command that looks answers, or says in one line what is wrong."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.look.damage import damage, looking
from pipeline.look.run import Run
from tests.command import typed
from tests.hostile import hidden

TRIALS = int(os.environ.get("WINNOW_FUZZ_EXAMPLES", "15"))
ASKED: tuple[tuple[str, ...], ...] = (
    ("stats",), ("stats", "--signal", "word_count"), ("stats", "--rules"), ("stats", "--signal", "word_count", "--near", "60"),
    ("explain", "http://keep0.test/0"), ("explain", "http://exact.test/1"),
    ("whatif", "--set", "toxicity.too_many_toxic_words.max=1"),
    ("representation",), ("report",), ("inspect",), ("inspect", "--step", "2"), ("contamination", "/nowhere.jsonl"),
)  # fmt: skip


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Path:
    return shutil.copytree(finished.root, tmp_path / "run", ignore=shutil.ignore_patterns(".work", "checkpoints"))


def asked(words: tuple[str, ...], run: Path) -> None:
    out = ("--out", str(run / "r.html")) if words == ("report",) else ()
    done = typed(words[0], run, *words[1:], *out)
    assert done.code in (0, 1, 2)
    assert done.err.count("\n") == (1 if done.code else 0), done.err
    assert hidden(done.out + done.err, keep="\n") == []


def test_damage_to_any_file_ends_in_an_answer_or_in_one_line(copied: Path, finished: Run) -> None:
    rng = random.Random(3)
    files = sorted(
        p.relative_to(copied) for p in copied.rglob("*") if p.is_file() and p.suffix in (".json", ".parquet")
    )
    for trial in range(TRIALS):
        name = rng.choice(files)
        path, data = copied / name, (copied / name).read_bytes()
        match rng.choice(("gone", "cut", "garbage", "flip", "empty")):
            case "gone":
                path.unlink()
            case "cut":
                path.write_bytes(data[: rng.randrange(len(data))])
            case "garbage":
                path.write_bytes(rng.randbytes(200))
            case "empty":
                path.write_bytes(b"")
            case "flip":
                changed = bytearray(data)
                for _ in range(5):
                    changed[rng.randrange(len(data))] = rng.randrange(256)
                path.write_bytes(changed)
        for k in range(4):
            asked(ASKED[(4 * trial + k) % len(ASKED)], copied)
        path.write_bytes(data)


@pytest.mark.parametrize("stage", ["extract", "curate", "tokenizer", "tokenize", "train"])
def test_a_step_that_is_gone_leaves_an_answer_or_one_line(stage: str, copied: Path, finished: Run) -> None:
    shutil.rmtree(copied / finished.need(stage).dir.name)
    for words in ASKED:
        asked(words, copied)


def test_the_line_names_what_is_damaged(copied: Path, finished: Run) -> None:
    step = finished.need("curate")
    (copied / step.dir.name / "signals" / "00000.parquet").write_bytes(b"PAR1 is not enough")
    done = typed("stats", copied, "--rules")
    assert done.code == 1
    assert f"damaged, so there is no answer: {step.step}-{step.key}: signals/00000.parquet" in done.err


def test_an_error_over_a_whole_run_is_no_damage(finished: Run) -> None:
    assert damage(finished.root) is None
    with pytest.raises(ZeroDivisionError), looking(finished.root):
        raise ZeroDivisionError
    with pytest.raises(DataError, match=r"neither a run directory"), looking(Path("/nowhere")):
        raise ZeroDivisionError
