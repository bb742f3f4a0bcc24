"""How fast the stages run on this machine, beside the libraries they stand on, in one run.

    python benchmarks/pipeline_speed.py TEXTS.jsonl[.gz|.zst] [--documents 2000]

Prints documents and megabytes per CPU second for curation's signals, the exact and MinHash keys, and tokenizing, and
for datatrove's filters if that package is installed. CPU time of one process, median of three runs after a warm-up.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.core.dataset import Source
from pipeline.core.registry import REGISTRY, measure
from pipeline.core.schema import Doc
from pipeline.curate.gates import CurateConfig, SignalsConfig, build
from pipeline.ingest.rows import jsonl_rows

RUNS = 3
PEER = "datatrove"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--documents", type=int, default=2_000)
    arguments = parser.parse_args()
    texts = list(islice(_texts(arguments.texts), arguments.documents))
    size = sum(len(t.encode()) for t in texts)
    print(f"{len(texts):,} documents, {size / 1e6:.1f} MB; {platform.processor() or platform.machine()}, one process")
    curation = build(CurateConfig(), SignalsConfig())
    cases: dict[str, Callable[[], Any]] = {
        "signals: gopher quality + repetition": lambda: _rules(
            texts, curation, ("gopher_quality", "gopher_repetition")
        ),
        "signals: language (fastText lid.176)": lambda: _rules(texts, curation, ("language",)),
        "signals: toxicity word list": lambda: _rules(texts, curation, ("toxicity",)),
        "edit: pii": lambda: [list(REGISTRY.edits["pii"].fn(d)) for d in _docs(texts)],
        "match: exact keys": lambda: [list(REGISTRY.matches["exact"].fn(d)) for d in _docs(texts)],
        "match: minhash keys (datasketch)": lambda: [list(REGISTRY.matches["minhash"].fn(d)) for d in _docs(texts)],
    }
    if importlib.util.find_spec(PEER):
        cases[f"{PEER}: gopher quality + repetition"] = _datatrove(texts)
    for name, case in cases.items():
        seconds = _time(case)
        print(f"{name:<40}{len(texts) / seconds:>10,.0f} docs/s {size / 1e6 / seconds:>9.1f} MB/s")
    if not importlib.util.find_spec(PEER):
        print(f"{PEER:<40}   missing: not installed, so there is no ratio to it")


def _time(case: Callable[[], Any]) -> float:
    case()
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        case()
        times.append(time.process_time() - began)
    return statistics.median(times)


def _texts(path: Path) -> Any:
    for _, row in jsonl_rows(Source(path, ""), max_bytes=50_000_000):
        if isinstance(row, dict) and isinstance(row.get("text"), str):
            yield from (row["text"][i : i + 4_000] for i in range(0, len(row["text"]), 4_000))


def _docs(texts: list[str]) -> list[Doc]:
    return [Doc(i.to_bytes(16, "little"), t) for i, t in enumerate(texts)]


def _rules(texts: list[str], curation: Any, names: tuple[str, ...]) -> None:
    docs = _docs(texts)
    for gate in curation.gates:
        if gate.name in names:
            for signal in gate.rules.signals:
                found = curation.signal_def(signal)
                if found.names[0] not in docs[0].signals:
                    measure(found, docs, dict(curation.signal_params[found.names[0]]))


def _datatrove(texts: list[str]) -> Callable[[], Any]:
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

    filters = [GopherRepetitionFilter(), GopherQualityFilter()]
    return lambda: [[f.filter(Document(text=t, id="")) for f in filters] for t in texts]


if __name__ == "__main__":
    main()
