"""An index after a command that was killed or failed: the same command goes on, and no text stays that should not."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import pipeline.matching.removal as removal
from pipeline.look.verify import verify_folder
from pipeline.matching.index import INDEX, REMOVING, read_index, sweep_segments
from tests.command import within
from tests.conftest import article, write_jsonl

EXACT = ("--set", 'curate.gates=["exact"]', "--workers", "1")


def rows(name: str, first: int, n: int = 4) -> list[dict[str, str]]:
    return [{"url": f"http://{name}.test/{i}", "text": article(i)} for i in range(first, first + n)]


def everything(store: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    texts = write_jsonl(tmp_path / "a.jsonl", rows("a", 0))
    assert within("dedup", "index", texts, "--out", tmp_path / "index", *EXACT)[0] == 0
    return tmp_path / "index"


def test_what_is_in_the_index_is_not_added_again(store: Path, tmp_path: Path) -> None:
    before = everything(store)
    code, said = within("dedup", "index", tmp_path / "a.jsonl", "--out", store, *EXACT)
    assert (code, everything(store)) == (0, before)
    assert "exact: 4 documents added" in said


def test_an_index_of_a_finished_step(tmp_path: Path) -> None:
    texts = write_jsonl(tmp_path / "a.jsonl", rows("a", 0))
    assert within("extract", texts, "--out", tmp_path / "step", "--workers", "1")[0] == 0
    for _ in range(2):
        assert within("dedup", "index", tmp_path / "step", "--out", tmp_path / "new", *EXACT)[0] == 0
    assert verify_folder(tmp_path / "new").whole
    assert verify_folder(tmp_path / "step").whole


def test_an_addition_that_fails_leaves_no_texts(store: Path, tmp_path: Path) -> None:
    before = everything(store)
    (tmp_path / "more").mkdir()
    texts = write_jsonl(tmp_path / "more" / "a.jsonl", [*rows("a", 0), *rows("b", 9)])
    code, said = within("dedup", "index", texts, "--out", store, *EXACT)
    assert code == 1
    assert "4 of these documents are in the index already" in said
    assert not (store / ".work").exists()
    assert everything(store) == before


@pytest.mark.parametrize("moment", ["before the old segments go", "when some are gone", "before index.json is clean"])
def test_a_removal_that_is_killed_leaves_nothing_of_the_documents(
    store: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The crash is put where it hurts: by an error that no handler meets."""

    class Crash(BaseException):
        pass

    calls: list[Path] = []

    def crashing(path: Path, listed: dict[str, object]) -> None:
        calls.append(path)
        if len(calls) == 2:  # the first is that of what was there before
            if moment == "when some are gone":
                next(path.glob("*-00000-docs-*/docs/*")).unlink()
            if moment == "before index.json is clean":
                sweep_segments(path, listed)
            raise Crash
        sweep_segments(path, listed)

    (store / ".work").mkdir()
    (store / ".work" / "texts.jsonl").write_text("http://a.test/2")
    monkeypatch.setattr(removal, "sweep_segments", crashing)
    with pytest.raises(Crash):
        removal.remove_documents(store, ["http://a.test/2"])
    monkeypatch.undo()
    assert within("dedup", "remove", store, "http://a.test/2") == (0, "exact: 1 removed, and 0 copies of them\n")
    assert b"http://a.test/2" not in everything(store)
    assert verify_folder(store).whole
    assert REMOVING not in read_index(store)
    assert within("dedup", "remove", store, "http://a.test/2")[0] == 2


def test_another_command_finishes_a_removal(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "write_sealed", lambda path, value: _write_and_crash(path, value))
    with pytest.raises(KeyboardInterrupt):
        removal.remove_documents(store, ["http://a.test/2"])
    monkeypatch.undo()
    assert b"removing" in (store / INDEX).read_bytes()
    texts = write_jsonl(tmp_path / "b.jsonl", rows("b", 9))
    assert within("dedup", "index", texts, "--out", store, *EXACT)[0] == 0
    assert b"http://a.test/2" not in everything(store)
    assert REMOVING not in read_index(store)
    assert verify_folder(store).whole


def _write_and_crash(path: Path, value: dict[str, object]) -> None:
    from pipeline.core.files import write_sealed

    write_sealed(path, value)
    raise KeyboardInterrupt


def test_damage_to_an_index_is_named(store: Path) -> None:
    for path in [p for p in sorted(store.rglob("*")) if p.is_file()]:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert not verify_folder(store).whole, path
        path.unlink()
        assert not verify_folder(store).whole, path
        path.write_bytes(data)
    assert verify_folder(store).whole


def test_an_index_that_lost_its_list_is_not_written_over(tmp_path: Path) -> None:
    first, second = (write_jsonl(tmp_path / f"{n}.jsonl", rows("ab"[n], 10 * n)) for n in (0, 1))
    for texts in (first, second):
        assert within("dedup", "index", texts, "--out", tmp_path / "index", *EXACT)[0] == 0
    segments = sorted(p.name for p in (tmp_path / "index").iterdir() if p.is_dir())
    (tmp_path / "index" / "index.json").unlink()
    code, said = within("dedup", "index", second, "--out", tmp_path / "index", *EXACT)
    assert (code, "index.json is missing" in said) == (2, True)
    assert sorted(p.name for p in (tmp_path / "index").iterdir() if p.is_dir()) == segments


@pytest.mark.parametrize("kind", ["parts", "docs"])
def test_a_damaged_addition_is_made_again_by_its_command(tmp_path: Path, kind: str) -> None:
    first, second = (write_jsonl(tmp_path / f"{n}.jsonl", rows("ab"[n], 10 * n)) for n in (0, 1))
    for texts in (first, second):
        assert within("dedup", "index", texts, "--out", tmp_path / "index", *EXACT)[0] == 0
    damaged = next(iter(sorted((tmp_path / "index").glob(f"exact-00001-{kind}-*/{'*'}/00000.parquet"))))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(bytes(data))
    assert within("verify", tmp_path / "index")[0] == 1
    assert within("dedup", "index", second, "--out", tmp_path / "index", *EXACT)[0] == 0
    assert within("verify", tmp_path / "index")[0] == 0
    other = write_jsonl(tmp_path / "other.jsonl", rows("b", 10))
    command = ("dedup", "run", other, "--index", tmp_path / "index", "--out", tmp_path / "out", "--workers", "1")
    code, said = within(*command, "--set", 'curate.gates=["exact"]')
    assert code == 0, said
    assert pq.read_metadata(tmp_path / "out" / "data" / "00000.parquet").num_rows == 0  # all are in the addition
