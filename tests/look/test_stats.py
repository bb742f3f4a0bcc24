"""Distributions of signals, and what the funnel says of damaged inputs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.core.bench import Bench
from pipeline.core.documents import Doc
from pipeline.core.files import write_parquet
from pipeline.core.schema import DECISION, DOCUMENT, decision
from pipeline.core.step import ShardResult, Task
from pipeline.look.run import Run, open_run
from pipeline.look.stats import NameHistogram, NumberHistogram, histogram, stats
from tests.command import typed


def test_histogram_counts_every_document(finished: Run) -> None:
    found = histogram(finished, "word_count")
    assert isinstance(found, NumberHistogram)
    assert sum(found.kept) == finished.need("curate").counts["rows_out"]
    assert sum(found.kept) + sum(found.dropped) == finished.need("curate").counts["rows_in"]
    languages = histogram(finished, "language")
    assert isinstance(languages, NameHistogram)
    assert {v.name for v in languages.values} >= {"en", "de"}


def damaged_extract(task: Task[None]) -> ShardResult:
    """An extract step as it is over damaged archives, with a gate and a reason that no version of winnow knows."""
    doc = Doc(b"\0" * 16, "text", url="http://a.test/")
    rows = [
        {**decision(doc, "ingest", ["broken_record"], note=f"no record; {n}00 bytes skipped"), "doc_id": bytes([n] * 16),
         "source": f"{n}.warc", "source_offset": 1_000 * n}
        for n in (3, 1, 2)
    ]  # fmt: skip
    rows.append({**decision(doc, "clock", ["too_slow", "signal_failed"]), "doc_id": b"\7" * 16})
    data, sidecar = task.file("data"), task.file("decisions")
    write_parquet(data, DOCUMENT.empty_table())
    write_parquet(sidecar, pa.Table.from_pylist(rows, DECISION))
    counts = {"rows_in": 4, "rows_out": 0, "dropped": {"ingest": 3, "clock": 1}, "text_bytes": 0, "gap_bytes": 12_345,
              "gaps": 3, "record_bytes": 1_222_222, "records": {"response": 7, "conversion": 1}}  # fmt: skip
    return ShardResult({data: 0, sidecar: len(rows)}, counts)


def test_what_could_not_be_read_is_shown_with_its_place_and_any_reason_by_its_name(tmp_path: Path) -> None:
    step = Bench(tmp_path).step("extract", {}, 1, [], [Task(0, {}, None)], damaged_extract, extra={"kind": "documents"})
    found = stats(open_run(step.dir)).extract
    assert found is not None
    assert found.gaps is not None
    assert (found.gaps.bytes, found.gaps.of_bytes, found.gaps.places) == (12_345, 1_234_567, 3)
    assert [(g.source, g.source_offset) for g in found.gaps.examples] == [
        ("1.warc", 1000),
        ("2.warc", 2000),
        ("3.warc", 3000),
    ]
    assert {r.reason for g in found.gates for r in g.reasons} == {"broken_record", "too_slow", "signal_failed"}
    shown = typed("stats", step.dir).out
    assert "bytes: 12,345 of 1,234,567 could not be read in 3 places" in shown
    assert "1.warc at 1000: no record; 100 bytes skipped" in shown
    for reason in ("too_slow", "signal_failed"):
        assert reason in shown
    assert typed("report", step.dir, "--out", tmp_path / "r.html").code == 0
    page = (tmp_path / "r.html").read_text("utf-8")
    for part in (
        "bytes: 12,345 of 1,234,567 could not be read in 3 places",
        "signal_failed",
        "no record; 100 bytes skipped",
    ):
        assert part in page


def test_a_run_over_whole_files_has_nothing_to_say_about_gaps(finished: Run) -> None:
    found = stats(finished).extract
    assert found is not None
    assert found.gaps is None
