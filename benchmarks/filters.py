"""Documents per CPU second through heuristic filters: winnow's kernels beside datatrove, on the same texts in one run.

    python benchmarks/filters.py TEXTS... --side-python PYTHON [--limit 1000] [--stock 100]

Both run FineWeb's order: Gopher repetition, Gopher quality, C4 (line edits included), FineWeb. datatrove stops at the
first failing filter; winnow measures everything and names every failing rule. TEXTS and --side-python as in parity.py.
datatrove runs twice: stock (spaCy, on the first --stock texts) and with its word splitter replaced by an expression.
Compilation and loading are left out on both sides. The last line repeats winnow's measurement on the same texts in
which every `e` is a Cyrillic one, so that no word takes the ASCII path.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from texts import load_texts

from pipeline.core.registry import apply_spans, measure
from pipeline.core.schema import Doc
from pipeline.curate.gates import CurateConfig, SignalsConfig, build

BATCH = 1_000
OWN = ["gopher_repetition", "gopher_quality", "c4", "c4_lines", "fineweb"]
SAME = ["datatrove_gopher_repetition", "datatrove_gopher_quality", "c4_any_end", "c4_lines", "fineweb"]


def winnow_seconds(gates: list[str], texts: list[str], repeats: int = 3) -> float:
    """CPU seconds, best of some, for all gates over all texts: signals, decisions, line edits."""
    tables: dict[str, dict[str, Any]] = {"c4_lines": {"end_mark": False}} if "c4_any_end" in gates else {}
    curation = build(CurateConfig(gates=gates, tables=tables), SignalsConfig())
    best = float("inf")
    for _ in range(repeats + 1):  # the first round compiles
        docs = [Doc(i.to_bytes(16, "big"), t) for i, t in enumerate(texts)]
        began = time.process_time()
        for at in range(0, len(docs), BATCH):
            batch = docs[at : at + BATCH]
            for gate in curation.gates:
                if gate.rules is None:
                    batch = [d.with_text(apply_spans(d.text, gate.edit.fn(d, **gate.params))[0]) for d in batch]
                    continue
                first_names = {curation.signal_def(s).names[0] for s in gate.rules.signals}
                for first in first_names:
                    if first not in batch[0].signals:
                        measure(curation.signal_def(first), batch, dict(curation.signal_params[first]))
                for doc in batch:
                    gate.rules.failing(doc.signals, "en")
        best = min(best, time.process_time() - began)
    return best


def datatrove_seconds(texts: list[str], python: str, splitter: str) -> float:
    """CPU seconds of the chain of filters."""
    side = Path(__file__).with_name("datatrove_side.py")
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    done = subprocess.run(
        [python, str(side), splitter, "chain"], input=lines, capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["cpu"]["chain"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--side-python", required=True)
    parser.add_argument("--limit", type=int, default=1_000)
    parser.add_argument("--stock", type=int, default=100, help="texts for stock datatrove, which is slow")
    args = parser.parse_args()
    texts = load_texts(args.texts, args.limit)
    few = texts[: args.stock]
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    print(f"{len(texts):,} texts, {megabytes:.1f} MB, {1e3 * megabytes / len(texts):.1f} kB each")
    rows = [
        ("datatrove, stock", len(few), datatrove_seconds(few, args.side_python, "stock")),
        ("datatrove, regex splitter", len(texts), datatrove_seconds(texts, args.side_python, "regex")),
        ("winnow, datatrove's signals", len(texts), winnow_seconds(SAME, texts)),
        ("winnow, its own signals", len(texts), winnow_seconds(OWN, texts)),
        ("winnow on the first texts", len(few), winnow_seconds(SAME, few)),
        ("winnow, Cyrillic e", len(texts), winnow_seconds(SAME, [t.replace("e", "е") for t in texts])),
    ]
    rates = {name: n / seconds for name, n, seconds in rows}
    print(f"{'':<30}{'texts/CPU s':>12}{'x stock':>10}{'x regex':>10}")
    for name, rate in rates.items():
        base = rates["winnow on the first texts"] if name != "winnow on the first texts" else rate
        stock = rates["datatrove, stock"]
        ratio = rate / stock if name.startswith("datatrove") else base / stock
        print(f"{name:<30}{rate:>12,.0f}{ratio:>10.1f}{rate / rates['datatrove, regex splitter']:>10.1f}")


if __name__ == "__main__":
    main()
