"""Grouping of ten million documents by generated band keys, with and without a limit on memory.

    python benchmarks/grouping.py [--documents 10000000] [--max-memory 2GiB] [--workers N]

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measuring import machine

from pipeline.cli.progress import Bars
from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.executor import Executor, make_executor
from pipeline.core.files import write_parquet
from pipeline.core.registry import match
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardResult, Task
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.gates import CopyGate
from pipeline.matching.question import SORTED_ROWS, Corpus
from pipeline.run.limits import limits

PER_SHARD = 50_000
BANDS = 14


@match("generated", features=None, batch=True)
def generated(docs: Any) -> Any:
    """Keys come from `generate`, not from texts; a shared key is proof."""
    raise NotImplementedError


@dataclass(frozen=True)
class GenerateArgs:
    documents: int  # of the corpus


def generate(task: Task[GenerateArgs]) -> ShardResult:
    """`state`, `keys` and an empty `data` of one shard. Document d of the corpus copies document d - 3 * (a fifth of all) with
    six of its bands if d % 5 == 0."""
    total = task.args.documents
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


def make(total: int, folder: Path, executor: Executor) -> Dataset:
    tasks = [Task(i, {}, GenerateArgs(total)) for i in range(-(-total // PER_SHARD))]
    bench = Bench(folder.parent, executor, {"generated": folder})
    return bench.step("generated", {"documents": total}, 1, [], tasks, generate)


def group(total: int, source: Path, out: Path, workers: int | None, max_memory: str, result: Any) -> None:
    """One run, in this process and its workers; puts (seconds, CPU seconds, peaks, hashes) into `result`."""
    bounds = limits(workers, max_memory)
    executor = make_executor(bounds.workers)
    previous = make(total, source, executor)
    # the documents have no hosts or files of which a share could be lost
    config = CurateConfig(gates=["generated"], max_host_loss=1.0, max_source_loss=1.0)
    (gate,) = build(config, SignalsConfig()).gates
    assert isinstance(gate, CopyGate)
    bench = Bench(out, executor, memory=bounds.sorting, told=Bars()).scratch
    cpu, wall = _cpu(), time.monotonic()
    found = gate.question.reduce(Corpus(previous, previous), bench)
    wall = time.monotonic() - wall
    executor.close()
    peaks = [resource.getrusage(w).ru_maxrss / 1024 for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    result.put((wall, _cpu() - cpu, peaks, bounds.workers, found.counts, found.answers.file_hashes))


def _cpu() -> float:
    return sum(sum(resource.getrusage(w)[:2]) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--max-memory", default="2GiB")
    parser.add_argument("--workers", type=int, help="as many as there are cores, if not given")
    args = parser.parse_args()
    print(machine())
    context = multiprocessing.get_context("spawn")
    hashes = []
    rates = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        executor = make_executor(limits(args.workers).workers)
        make(args.documents, folder / "source", executor)
        executor.close()
        for title, bound in (("no limit", ""), (args.max_memory, args.max_memory)):
            result = context.Queue()
            out = folder / f"out-{title.split()[0]}"
            given = (args.documents, folder / "source", out, args.workers, bound, result)
            child = context.Process(target=group, args=given)
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
