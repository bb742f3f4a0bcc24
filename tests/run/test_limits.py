"""How many workers and bytes a command gets, and who pays for workers when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.executor import PoolExecutor
from pipeline.run.limits import MAIN_BYTES, WORKER_BYTES, Limits, limits, parse_bytes
from pipeline.run.session import open_bench


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 4 << 30), ("500M", 500 << 20), ("1.5g", 3 << 29), (" 2 TB ", 2 << 40), ("1024", 1024), ("8KB", 8192)],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["lots", "", "-1G", "4 GG", "1e9", "G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write a number with K, M, G or T"):
        parse_bytes(text)


def test_memory_bounds_workers_and_sorting() -> None:
    least = MAIN_BYTES + WORKER_BYTES
    assert limits(8, str(least)) == Limits(1, least)
    assert limits(8, str(least + 2 * WORKER_BYTES)).workers == 3
    assert limits(2, str(least + 2 * WORKER_BYTES)).workers == 2
    assert limits(8, str(least)).sorting == WORKER_BYTES // 2
    with pytest.raises(UsageError, match="at least 900 MiB are needed"):
        limits(1, str(least - 1))


def test_without_bounds_a_command_takes_all_cores_and_sorts_in_memory() -> None:
    assert limits(None).workers >= 1
    assert limits(0) == Limits(1, None)
    assert Limits(3).sorting is None


def test_stop_ends_the_workers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(PoolExecutor, "close", lambda self, *, now=False: closed.append(now))
    with pytest.raises(KeyboardInterrupt), open_bench(tmp_path, Limits(2)):
        raise KeyboardInterrupt
    assert closed[0] is True
    closed.clear()
    with open_bench(tmp_path, Limits(2, 1 << 30)) as bench:
        assert (bench.executor.workers, bench.memory) == (2, Limits(2, 1 << 30).sorting)
    assert closed == [False]
