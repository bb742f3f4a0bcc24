"""How fast curation runs on this machine, beside the libraries that do the same, in one run.

    python benchmarks/pipeline_speed.py [TEXTS.jsonl[.gz|.zst]] [--documents 2000] [--runs 3]

Prints documents and megabytes per CPU second for signals, an edit, and the keys of the exact and the MinHash match; for
datasketch's MinHash with the same bands, and for datatrove's filters if that package is installed, also how many times as fast
winnow is. CPU time of one process, median of some runs after a warm-up. Texts are cut into pieces of 4,000 characters. Without
TEXTS the pages of the demo's garden are taken, over and over: enough to see that all is well, too alike to be quoted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from measuring import RUNS, machine, median_cpu, megabytes_of
from peers import installed
from sketches import datasketch
from texts import load_texts

from pipeline.core.dataset import Source
from pipeline.core.documents import Doc, Documents
from pipeline.core.registry import REGISTRY, measure
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.gates import CopyGate, Curation, RuleGate
from pipeline.ingest.rows import jsonl_rows
from pipeline.matching.copies import keys_of

GARDEN = Path(__file__).parents[1] / "examples" / "garden" / "pages"
PIECE_CHARS = 4_000
MAX_ROW_BYTES = 50_000_000
RULES, MINHASH = "signals: gopher quality + repetition", "match: minhash keys"


class Case(NamedTuple):
    """What is timed; `against` names winnow's case for the same task where this one is a peer's."""

    name: str
    work: Callable[[], object]
    against: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="?", type=Path)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    if arguments.texts is None:
        print("no TEXTS given: the pages of the demo's garden, over and over")
    found = pieces(arguments.texts) if arguments.texts else cycle(load_texts([GARDEN]))
    texts = list(islice(found, arguments.documents))
    if not texts:
        raise SystemExit(f"{arguments.texts}: no rows with a `text`.")
    megabytes = megabytes_of(texts)
    print(f"{len(texts):,} documents, {megabytes:.1f} MB; {machine()}, one process")
    rates: dict[str, float] = {}
    for case in cases(texts):
        case.work()
        seconds, _ = median_cpu(case.work, arguments.runs)
        rate = rates[case.name] = len(texts) / seconds
        ratio = f"   winnow {rates[case.against] / rate:.1f} x" if case.against else ""
        print(f"{case.name:<40}{rate:>10,.0f} docs/s {megabytes / seconds:>9.1f} MB/s{ratio}")


def pieces(path: Path) -> Iterator[str]:
    for _, row in jsonl_rows(Source(path, ""), max_bytes=MAX_ROW_BYTES):
        if isinstance(row, dict) and isinstance(row.get("text"), str):
            yield from (row["text"][i : i + PIECE_CHARS] for i in range(0, len(row["text"]), PIECE_CHARS))


def cases(texts: list[str]) -> Iterator[Case]:
    curation = build(CurateConfig(), SignalsConfig())

    def docs() -> Documents:
        return Documents(Doc(i.to_bytes(16, "little"), t) for i, t in enumerate(texts))

    pii = REGISTRY.edits["pii"].fn
    calls = {g.name: g.question.call for g in curation.gates if isinstance(g, CopyGate)}
    yield Case(RULES, lambda: measure_rules(docs(), curation, ("gopher_quality", "gopher_repetition")))
    yield Case("signals: language (fastText lid.176)", lambda: measure_rules(docs(), curation, ("language",)))
    yield Case("signals: toxicity word list", lambda: measure_rules(docs(), curation, ("toxicity",)))
    yield Case("edit: pii", lambda: [list(pii(d)) for d in docs()])
    yield Case("match: exact keys", lambda: keys_of(calls["exact"], docs()))
    yield Case(MINHASH, lambda: keys_of(calls["minhash"], docs()))
    yield Case("  datasketch: minhash keys (SHA-1)", lambda: datasketch(texts), MINHASH)
    if installed("datatrove"):
        yield Case("  datatrove: gopher quality + repetition", datatrove(texts), RULES)


def measure_rules(docs: Documents, curation: Curation, names: tuple[str, ...]) -> None:
    """The signals of some rule gates."""
    for gate in curation.gates:
        if isinstance(gate, RuleGate) and gate.name in names:
            for first in dict.fromkeys(curation.signal(s).names[0] for s in gate.signals):
                if first not in docs[0].signals:
                    measure(curation.signal(first), docs, curation.signal_params[first])


def datatrove(texts: list[str]) -> Callable[[], object]:
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

    filters = [GopherRepetitionFilter(), GopherQualityFilter()]
    return lambda: [[f.filter(Document(text=t, id="")) for f in filters] for t in texts]


if __name__ == "__main__":
    main()
