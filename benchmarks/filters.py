"""Documents per CPU second through heuristic filters: winnow's kernels beside datatrove, on the same texts in one run.

    python benchmarks/filters.py TEXTS... [--side-python PYTHON] [--limit 1000] [--stock 100] [--runs 3]

Both run FineWeb's order: Gopher repetition, Gopher quality, C4 (line edits included), FineWeb. datatrove stops at the
first failing filter; winnow measures everything and names every failing rule. TEXTS and --side-python as in parity.py.
datatrove runs twice: stock (spaCy, on the first --stock texts) and with its word splitter replaced by an expression.
Compilation and loading are left out on both sides. The last line repeats winnow's measurement on the same texts in
which every `e` is a Cyrillic one, so that no word takes the ASCII path.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from measuring import machine, megabytes_of
from peers import missing, run_peer
from texts import load_texts

from pipeline.core.documents import Doc, Documents
from pipeline.core.registry import measure
from pipeline.core.spans import apply_spans
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.gates import EditGate, RuleGate

BATCH = 1_000
OWN = ["gopher_repetition", "gopher_quality", "c4", "c4_lines", "fineweb"]
STOCK, REGEX, FIRST = "datatrove, stock", "datatrove, regex splitter", "winnow on the first texts"
SAME = ["datatrove_gopher_repetition", "datatrove_gopher_quality", "c4_any_end", "c4_lines", "fineweb"]


def winnow_seconds(gates: list[str], texts: list[str], repeats: int) -> float:
    """CPU seconds, best of some runs, for all gates over all texts: signals, decisions, line edits."""
    tables: dict[str, dict[str, Any]] = {"c4_lines": {"end_mark": False}} if "c4_any_end" in gates else {}
    curation = build(CurateConfig(gates=gates, tables=tables), SignalsConfig())
    best = float("inf")
    for _ in range(repeats + 1):  # the first round compiles
        docs = Documents(Doc(i.to_bytes(16, "big"), t) for i, t in enumerate(texts))
        began = time.process_time()
        for at in range(0, len(docs), BATCH):
            batch = docs[at : at + BATCH]
            for gate in curation.gates:
                if isinstance(gate, EditGate):
                    edit, params = gate.call.edit, gate.call.params
                    batch = Documents(d.with_text(apply_spans(d.text, edit.fn(d, **params))[0]) for d in batch)
                    continue
                assert isinstance(gate, RuleGate)
                for first in {curation.signal(s).names[0] for s in gate.signals}:
                    if first not in batch[0].signals:
                        measure(curation.signal(first), batch, curation.signal_params[first])
                for doc in batch:
                    gate.rules.failing(doc.signals, "en")
        best = min(best, time.process_time() - began)
    return best


def datatrove_seconds(texts: list[str], python: str, splitter: str) -> float:
    """CPU seconds of the chain of filters."""
    side = Path(__file__).with_name("datatrove_side.py")
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    told = run_peer(python, str(side), splitter, "chain", given=lines)
    return float(json.loads(told.splitlines()[-1])["cpu"]["chain"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--side-python", default="", help="Python of an environment with datatrove and spaCy")
    parser.add_argument("--limit", type=int, default=1_000)
    parser.add_argument("--stock", type=int, default=100, help="texts for stock datatrove, which is slow")
    parser.add_argument("--runs", type=int, default=3, help="of winnow; the best one counts")
    args = parser.parse_args()
    texts = load_texts(args.texts, args.limit)
    few = texts[: args.stock]
    megabytes = megabytes_of(texts)
    print(f"{len(texts):,} texts, {megabytes:.1f} MB, {1e3 * megabytes / len(texts):.1f} kB each; {machine()}")
    rows: list[tuple[str, int, float]] = []
    if args.side_python:
        rows += [
            (STOCK, len(few), datatrove_seconds(few, args.side_python, "stock")),
            (REGEX, len(texts), datatrove_seconds(texts, args.side_python, "regex")),
        ]
    else:
        missing("datatrove", "no --side-python given: there are no ratios to it")
    cyrillic = [t.replace("e", "е") for t in texts]
    rows += [
        ("winnow, datatrove's signals", len(texts), winnow_seconds(SAME, texts, args.runs)),
        ("winnow, its own signals", len(texts), winnow_seconds(OWN, texts, args.runs)),
        (FIRST, len(few), winnow_seconds(SAME, few, args.runs)),
        ("winnow, Cyrillic e", len(texts), winnow_seconds(SAME, cyrillic, args.runs)),
    ]
    rates = {name: n / seconds for name, n, seconds in rows}
    stock, regex = rates.get(STOCK), rates.get(REGEX)
    print(f"{'':<30}{'texts/CPU s':>12}{'x stock':>10}{'x regex':>10}")
    for name, rate in rates.items():
        # winnow beside stock datatrove: on the texts that both had
        same = rate if name in (STOCK, REGEX) else rates[FIRST]
        print(f"{name:<30}{rate:>12,.0f}{_ratio(same, stock):>10}{_ratio(rate, regex):>10}")


def _ratio(rate: float, to: float | None) -> str:
    return "-" if to is None else f"{rate / to:.1f}"


if __name__ == "__main__":
    main()
