"""Documents that share a doc_id: the first goes on, the others are recorded drops."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.executor import make_executor
from pipeline.core.schema import DOCUMENT
from pipeline.core.step import ShardResult, Task
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.step import curate
from tests.conftest import article

pytestmark = pytest.mark.usefixtures("kernels")


def copied(task: Task[Any]) -> ShardResult:
    """A shard of documents as another tool may have written it."""
    path = task.file("data")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"doc_id": i.to_bytes(16, "big"), "url": f"http://a.test/{i}-{task.shard}-{n}", "host": "a.test",
         "text": article(i + n, 60), "source": "x", "source_offset": n, "rights": []}
        for n, i in enumerate(task.args)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, DOCUMENT)
    far = pa.array([10**18 if n == 0 else 0 for n in range(len(rows))], pa.int64()).cast(pa.timestamp("us", "UTC"))
    pq.write_table(
        table.set_column(table.schema.get_field_index("capture_time"), DOCUMENT.field("capture_time"), far), path
    )
    return ShardResult({path: len(rows)}, {"rows_in": len(rows), "rows_out": len(rows), "dropped": {}})


def documents(bench: Bench, shards: list[tuple[int, ...]]) -> Dataset:
    tasks: list[Task[Any]] = [Task(i, {}, ids) for i, ids in enumerate(shards)]
    return bench.step("made", {}, 1, [], tasks, copied)


@pytest.mark.parametrize("gates", [["gopher_quality"], ["exact"], ["minhash", "repeated_lines"]])
def test_the_first_document_of_an_id_goes_on_and_the_others_are_on_record(tmp_path: Path, gates: list[str]) -> None:
    keep = ["-capture_time", "-text_bytes"]  # a time beyond the year 9999 is none
    curation = build(CurateConfig(gates=gates, keep=keep, max_host_loss=1.0, max_source_loss=1.0), SignalsConfig())
    found = []
    for workers in (1, 2):
        executor = make_executor(workers)
        bench = Bench(tmp_path / str(workers), executor)
        made = curate(curation, documents(bench, [(1, 2, 1), (3, 2), (1, 4)]), bench)
        executor.close()
        decisions = made.table("decisions").to_pylist()
        repeated = {d["url"]: d for d in decisions if d["gate"] == "doc_id"}
        assert set(repeated) == {"http://a.test/1-0-2", "http://a.test/2-1-1", "http://a.test/1-2-0"}
        assert {d["reasons"][0] for d in repeated.values()} == {"duplicate_id"}
        assert repeated["http://a.test/2-1-1"]["kept_doc_id"] == (2).to_bytes(16, "big")
        assert len({d["doc_id"] for d in decisions}) == len(decisions)
        assert made.counts["rows_in"] == 7
        assert made.counts["dropped"]["doc_id"] == 3
        assert made.manifest["gates"][0] == "doc_id"
        assert not set(repeated) & set(made.table("data")["url"].to_pylist())
        found.append({n: f["sha256"] for n, f in made.manifest["files"].items()})
    assert found[0] == found[1]


def test_times_that_python_cannot_name_are_unknown(tmp_path: Path) -> None:
    from pipeline.core.documents import docs_of

    for unit, far in (("s", 10**12), ("ms", 10**15), ("us", 10**18), ("us", -(10**17))):
        column = pa.array([far, 0], pa.int64()).cast(pa.timestamp(unit, "UTC"))
        docs = docs_of(pa.table({"capture_time": column, "text": ["a", "b"]}))
        assert [d.capture_time for d in docs] == [None, datetime(1970, 1, 1, tzinfo=UTC)]
