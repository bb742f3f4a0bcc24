"""How long `winnow whatif` and `winnow stats --rules` take over a million documents.

    python benchmarks/whatif.py [--rows 1000000]

Writes a curate step with random signals for the default gates (fixed seed) into a temporary folder, with the decisions
that follow from them, and asks about it. Wall seconds, loading included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from measuring import machine

from pipeline.core.bench import Bench
from pipeline.core.files import write_parquet
from pipeline.core.schema import DECISION, DOC_ID, DOCUMENT, EDIT
from pipeline.core.step import ShardResult, Task
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.gates import Curation, RuleGate
from pipeline.curate.step import identity
from pipeline.look.rules import rule_table
from pipeline.look.run import open_run
from pipeline.look.whatif import whatif

SHARDS = 10


@dataclass(frozen=True)
class ShardArgs:
    curation: Curation
    rows: int


def shard(task: Task[ShardArgs]) -> ShardResult:
    """Signals of one shard: most values inside the bounds of their rules, some outside; decisions follow."""
    curation, rows = task.args.curation, task.args.rows
    rng = np.random.default_rng(task.shard)
    ids = [int(i).to_bytes(16, "big") for i in range(task.shard * rows, (task.shard + 1) * rows)]
    hosts = rng.integers(0, 20_000, rows)
    table = {
        "doc_id": pa.array(ids, DOC_ID),
        "url": pa.array([f"https://host{h}.example/page/{i}" for i, h in enumerate(hosts)]),
        "host": pa.array([f"host{h}.example" for h in hosts]),
        "bytes": pa.array(rng.lognormal(8, 1, rows).astype(np.int64)),
    }
    first = np.full(rows, -1)
    for g, gate in enumerate(curation.gates):
        for rule in gate.rules.rules if isinstance(gate, RuleGate) else ():
            if rule.one_of is not None:
                values = rng.choice(["en", "de", "fr"], rows, p=[0.96, 0.02, 0.02])
                table[rule.signal] = pa.array(values)
                fails = ~np.isin(values, rule.one_of)
            else:
                if rule.signal not in table:
                    bound = rule.min if rule.min is not None else rule.max
                    spread = rng.exponential(abs(bound or 1) * 0.3, rows)
                    table[rule.signal] = pa.array(
                        (bound or 0) + spread if rule.min is not None else np.maximum((bound or 0) - spread, 0)
                    )
                    hit = rng.random(rows) < 0.01
                    values = np.array(table[rule.signal])
                    values[hit] = (bound or 0) * 0.5 if rule.min is not None else (bound or 0) + 1
                    table[rule.signal] = pa.array(values)
                numbers = np.array(table[rule.signal])
                fails = (numbers < rule.min) if rule.min is not None else np.zeros(rows, bool)
                fails |= (numbers > rule.max) if rule.max is not None else False
            first[fails & (first < 0)] = g
    gone = np.flatnonzero(first >= 0)
    empty = {f.name: pa.nulls(len(gone), f.type) for f in DECISION}
    decisions = pa.table(
        {
            **empty,
            "doc_id": pa.array([ids[i] for i in gone], DOC_ID),
            "gate": pa.array([curation.gates[first[i]].name for i in gone]),
            "reasons": pa.array([["synthetic"]] * len(gone), pa.list_(pa.string())),
        }
    )
    outputs: dict[Path, int | None] = {}
    for folder, made in (
        ("signals", pa.table(table)), ("decisions", decisions.cast(DECISION)), ("edits", EDIT.empty_table()),
        ("data", DOCUMENT.empty_table()),
    ):  # fmt: skip
        write_parquet(task.file(folder), made)
        outputs[task.file(folder)] = made.num_rows
    dropped = {g.name: int((first == i).sum()) for i, g in enumerate(curation.gates) if (first == i).any()}
    # the synthetic step has no texts: what is "kept" is counted as dropped by nothing
    counts = {"rows_in": len(gone), "rows_out": 0, "dropped": dropped, "text_bytes": 0, "edits": {}}
    return ShardResult(outputs, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    curation: Curation = build(CurateConfig(), SignalsConfig())
    with tempfile.TemporaryDirectory() as name:
        tasks = [Task(i, {}, ShardArgs(curation, args.rows // SHARDS)) for i in range(SHARDS)]
        extra = {"gates": [g.name for g in curation.gates]}
        bench = Bench(Path(name))
        step = bench.step("curate", identity(curation, curation.gates), 1, [], tasks, shard, extra=extra)
        run = open_run(step.dir)
        size = sum(p.stat().st_size for p in step.files("signals")) / 1e6
        print(f"{args.rows:,} rows, {len(curation.gates)} gates, signals of {size:.0f} MB; {machine()}")
        for sets in (["gopher_quality.too_few_words.min=20"], ["gopher_quality.too_few_words.min=20", "toxicity.toxic.max=0.2",
                     "gopher_repetition.dup_lines.max=0.4"]):  # fmt: skip
            began = time.perf_counter()
            found = whatif(run, sets)
            seconds = time.perf_counter() - began
            gained, lost = found.gained.documents, found.lost.documents
            print(f"whatif with {len(sets)} changes: {seconds:.2f} s; gained {gained:,}, lost {lost:,}")
        began = time.perf_counter()
        rule_table(run)
        print(f"stats --rules: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
