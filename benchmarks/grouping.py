"""Grouping of ten million documents by generated band keys, with and without a limit on memory.

    python benchmarks/grouping.py [--documents 10000000] [--max-memory 2GiB]

Generates what the pass before a match writes (14 keys a document; a fifth of the documents share some of another's; fixed
seed), then runs the steps from ranks to drops, each time in processes of its own: once with the limit, once without. Prints
documents a second (wall time and CPU), the peak memory of the main process and of its largest worker, and checks that both
runs made the same files.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.cli.progress import Bars
from pipeline.cli.stages import limits
from pipeline.core.dataset import Dataset
from pipeline.core.executor import PoolExecutor, make_executor
from pipeline.core.files import write_parquet
from pipeline.core.registry import match
from pipeline.core.schema import DOC_ID
from pipeline.core.step import Plan, ShardResult, Task, Workspace, run_step
from pipeline.curate.gates import CurateConfig, SignalsConfig, build
from pipeline.curate.passes import SORTED_ROWS
from pipeline.matching.engine import match_copies

PER_SHARD = 50_000
BANDS = 14


@match("generated", features=None, batch=True)
def generated(docs: Any) -> Any:
    """Keys come from `generate`, not from texts; a shared key is proof."""
    raise NotImplementedError


def generate(task: Task) -> ShardResult:
    """`state`, `keys` and an empty `data` of one shard. Document d of the corpus copies document d - 3 * (a fifth of all) with
    six of its bands if d % 5 == 0."""
    total = task.args
    first = task.shard * PER_SHARD
    numbers = np.arange(first, min(first + PER_SHARD, total), dtype=np.uint64)
    n = len(numbers)
    ids = np.stack([numbers * np.uint64(0x9E3779B97F4A7C15), numbers], axis=1)
    sizes = (numbers * np.uint64(2654435761)) % np.uint64(20_000)
    state = pa.table(
        {
            "doc_id": pa.FixedSizeBinaryArray.from_buffers(DOC_ID, n, [None, pa.py_buffer(ids.tobytes())]),
            "row": pa.array(np.arange(n)),
            "text": pa.nulls(n, pa.string()),
            "shard": pa.array(np.full(n, task.shard, np.int32)),
            "bytes": pa.array(sizes.astype(np.int64)),
            "keep.text_bytes": pa.array(sizes.astype(np.int64)),
            "keep.capture_time": pa.nulls(n, pa.timestamp("us", tz="UTC")),
        }
    )
    shift = np.uint64(3 * (total // 5))
    of = np.repeat(numbers, BANDS)
    band = np.tile(np.arange(BANDS, dtype=np.uint64), n)
    copied = (of % np.uint64(5) == 0) & (of >= shift) & (band < 6)
    of = np.where(copied, of - shift, of)
    mixed = (of * np.uint64(BANDS) + band + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)
    order = np.argsort(mixed)
    doc = np.repeat(np.arange(n, dtype=np.int32), BANDS)
    keys = pa.table({"high": mixed[order], "low": mixed[order], "doc": doc[order]})
    write_parquet(task.file("state"), state)
    write_parquet(task.file("keys"), keys, row_group_rows=SORTED_ROWS, packed=False)
    write_parquet(task.file("data"), pa.table({"doc_id": pa.array([], DOC_ID)}))
    return ShardResult({task.file("state"): n, task.file("keys"): len(keys), task.file("data"): 0})


def make(total: int, folder: Path, executor: Any) -> Dataset:
    plan = Plan("generated", {"documents": total})
    tasks = [Task(plan.name, i, (), folder, total) for i in range(-(-total // PER_SHARD))]
    return run_step(plan, folder, tasks, generate, executor)


def group(total: int, source: Path, out: Path, max_memory: str, result: Any) -> None:
    """One run, in this process and its workers; puts (seconds, CPU seconds, peaks, hashes) into `result`."""
    bounds = limits(None, max_memory)
    executor = make_executor(bounds.workers)
    previous = make(total, source, executor)
    curation = build(CurateConfig(gates=["generated"]), SignalsConfig())
    cpu, wall = _cpu(), time.monotonic()
    found = match_copies(
        curation.gates[0],
        curation,
        previous,
        previous,
        Workspace(out),
        executor,
        memory=bounds.sorting,
        progress=Bars(),
    )
    wall = time.monotonic() - wall
    if isinstance(executor, PoolExecutor):
        executor.close()
    peaks = [resource.getrusage(w).ru_maxrss / 1024 for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    result.put((wall, _cpu() - cpu, peaks, bounds.workers, found.counts, found.drops.file_hashes))


def _cpu() -> float:
    return sum(sum(resource.getrusage(w)[:2]) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--max-memory", default="2GiB")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    hashes = []
    rates = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        executor = make_executor(limits(None).workers)
        make(args.documents, folder / "source", executor)
        if isinstance(executor, PoolExecutor):
            executor.close()
        for title, bound in (("no limit", ""), (args.max_memory, args.max_memory)):
            result = context.Queue()
            out = folder / f"out-{title.split()[0]}"
            child = context.Process(target=group, args=(args.documents, folder / "source", out, bound, result))
            child.start()
            wall, cpu, peaks, workers, counts, made = result.get()
            child.join()
            hashes.append(made)
            rates.append(args.documents / wall)
            disk = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e9
            print(
                f"{title:<9} {workers} workers  {rates[-1]:>9,.0f} documents/s ({wall:.0f} s, {cpu:.0f} s CPU)  "
                f"peak {peaks[0]:,.0f} MiB, largest worker {peaks[1]:,.0f} MiB  {disk:.1f} GB of files  "
                f"{counts['copies']:,} copies"
            )
    print(f"same files: {hashes[0] == hashes[1]}; with the limit at {rates[1] / rates[0]:.0%} of the rate without")


if __name__ == "__main__":
    main()
