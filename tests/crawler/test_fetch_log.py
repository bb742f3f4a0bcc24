"""The log of what became of every URL, without a crawl: the last word decides, and a killed process spoils nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch_log import FETCH_LOG, FetchLog, fate_of, read_lines, seal, urls_of
from crawler.outcomes import OUTCOMES, Fate, Outcome
from pipeline.core.errors import DataError

OUTCOME = st.sampled_from(sorted(OUTCOMES))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
URL = st.sampled_from([f"http://a.test/{i}" for i in range(5)])
FATE = st.builds(
    Fate,
    url=URL,
    host=st.just("a.test"),
    outcome=OUTCOME,
    note=TEXT,
    status=st.none() | st.integers(100, 599),
    depth=st.none() | st.integers(0, 9),
    referrer=st.none() | URL,
    time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    warc_file=st.none() | st.just("winnow-00000.warc.gz"),
    warc_offset=st.none() | st.integers(0, 2**40),
    bytes=st.none() | st.integers(0, 2**40),
)
AMENDMENT = st.tuples(URL, OUTCOME, st.none() | TEXT)
EVENTS = st.lists(FATE | AMENDMENT, max_size=12)
Events = list[Fate | tuple[str, Outcome, str | None]]


def written(path: Path, events: Events) -> list[dict[str, Fate]]:
    """Write a log; returns what each of its lines, and none of them, leaves as the state of things."""
    log = FetchLog(path)
    states: list[dict[str, Fate]] = [{}]
    for event in events:
        state = dict(states[-1])
        if isinstance(event, Fate):
            log.add(event)
            state[event.url] = event
        elif event[0] in log:
            url, outcome, note = event
            log.amend(url, outcome, note)
            state[url] = replace(state[url], outcome=outcome, note=state[url].note if note is None else note)
        else:
            with pytest.raises(KeyError):
                log.amend(*event)
            continue
        states.append(state)
    log.close()
    return states


def fate(url: str, outcome: Outcome = "fetched", note: str = "") -> Fate:
    now = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    return Fate(url, "a.test", outcome, note, 200, 1, None, now, "winnow-00000.warc.gz", 7, 70)


def test_a_fate_has_the_columns_of_the_log() -> None:
    assert [f.name for f in fields(Fate)] == FETCH_LOG.names


@given(events=EVENTS)
def test_the_last_word_on_a_url_decides(tmp_path_factory: pytest.TempPathFactory, events: Events) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    states = written(path, events)
    assert read_lines(path) == states[-1]


@given(events=EVENTS, share=st.floats(0, 1))
def test_a_half_written_last_line_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, events: Events, share: float
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    states = written(path, events)
    whole = path.read_bytes()
    kept = whole[: round(share * len(whole))]
    path.write_bytes(kept)
    assert read_lines(path) == states[kept.count(b"\n")]


@given(events=EVENTS)
def test_the_table_is_what_the_lines_say_by_url(tmp_path_factory: pytest.TempPathFactory, events: Events) -> None:
    folder = tmp_path_factory.mktemp("log")
    last = written(folder / "log.jsonl", events)[-1]
    table = folder / "fetch" / "00000.parquet"
    counts = seal(folder / "log.jsonl", table)
    assert pq.read_schema(table).equals(FETCH_LOG)
    assert urls_of([table]) == sorted(last)
    assert {url: fate_of([table], url) for url in urls_of([table])} == last
    assert counts == {o: n for o in OUTCOMES if (n := sum(f.outcome == o for f in last.values()))}
    assert not (folder / "log.jsonl").exists()


def test_lines_can_be_read_while_the_crawl_runs(tmp_path: Path) -> None:
    log = FetchLog(tmp_path / "log.jsonl")
    log.add(fate("http://a.test/1"))
    assert read_lines(log.path) == {"http://a.test/1": fate("http://a.test/1")}
    log.close()


def test_the_log_of_a_killed_process_is_begun_anew(tmp_path: Path) -> None:
    first = FetchLog(tmp_path / "fetch" / "log.jsonl")
    first.add(fate("http://a.test/1"))
    first.close()
    with open(first.path, "ab") as f:
        f.write(b'{"url": "http://a.te')
    second = FetchLog(first.path)
    assert "http://a.test/1" not in second
    second.add(fate("http://a.test/2"))
    second.close()
    assert list(read_lines(second.path)) == ["http://a.test/2"]


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"url": "http://a.test/1"}', '{"amends": "http://never.met/"}'])
def test_a_damaged_line_that_is_not_the_last_is_an_error(tmp_path: Path, line: str) -> None:
    log = FetchLog(tmp_path / "log.jsonl")
    log.add(fate("http://a.test/1"))
    log.close()
    with open(log.path, "a") as f:
        f.write(line + "\n")
    with pytest.raises(DataError, match="line 2: no event"):
        read_lines(log.path)


def test_a_url_that_was_never_met_has_no_row(tmp_path: Path) -> None:
    log = FetchLog(tmp_path / "log.jsonl")
    log.add(fate("http://a.test/1"))
    log.close()
    seal(log.path, tmp_path / "00000.parquet")
    assert fate_of([tmp_path / "00000.parquet"], "http://a.test/2") is None
    assert fate_of([], "http://a.test/1") is None
    assert urls_of([]) == []


def test_the_plain_objects_have_no_scrapy_in_them() -> None:
    import subprocess
    import sys

    script = (
        "import sys, crawler.outcomes, crawler.scope, crawler.budget, crawler.fetch_log, crawler.ledger\n"
        "sys.exit(any(name.split('.')[0] in ('scrapy', 'twisted') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
