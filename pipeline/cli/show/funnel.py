"""The funnel of a run, and the values of a signal."""

from __future__ import annotations

import textwrap

from pipeline.core.answers import Counts
from pipeline.look.near import Nearest
from pipeline.look.stats import Funnel, Gaps, GroupBytes, NameHistogram, NumberHistogram, Stats
from pipeline.report.format import bar, gaps_line, mib
from pipeline.text.visible import padded, prose, visible
from train.result import Trained

LISTED_GROUPS = 8
LISTED_NAMES = 30
LISTED_GAPS = 3


def show_stats(s: Stats) -> None:
    print(f"run {visible(s.run)}")
    if s.crawl:
        print("\ncrawl")
        for outcome, n in sorted(s.crawl.items(), key=lambda x: -x[1]):
            print(f"  {padded(outcome, 24)}{n:>9,}")
    for stage, funnel in (("extract", s.extract), ("curate", s.curate)):
        if funnel:
            _funnel(stage, funnel)
    for name, groups in (("languages", s.languages), ("hosts", s.hosts)):
        if groups:
            _groups(name, groups)
    if s.tokens:
        _tokens(s.tokens)
    if s.model:
        _model(s.model)
    for step, errors in s.errors.items():
        print(f"\n{len(errors):,} recorded errors in {visible(step)}, for example: {visible(errors[0])}")


def _funnel(stage: str, funnel: Funnel) -> None:
    print(f"\n{stage:<26}{funnel.rows_in:>9,} in")
    if funnel.gaps:
        _gaps(funnel.gaps)
    for gate in funnel.gates:
        if not gate.documents:
            continue
        print(f"  - {padded(gate.gate, 22)}{gate.documents:>9,}  {mib(gate.bytes):>10}")
        for r in gate.reasons:
            print(f"      {padded(str(r.reason), 26)}{r.documents:>5,}  {r.alone:>5,} for this alone")
    for kind, n in funnel.edits.items():
        print(f"  ~ {padded(kind, 22)}{n:>9,} replaced")
    print(f"  = {'kept':<22}{funnel.rows_out:>9,}  {mib(funnel.bytes_out):>10}")


def _gaps(gaps: Gaps) -> None:
    print(f"  {gaps_line(gaps)}")
    for g in gaps.examples[:LISTED_GAPS]:
        print(f"    {visible(f'{g.source} at {g.source_offset}: {g.note}')}")


def _groups(name: str, groups: tuple[GroupBytes, ...]) -> None:
    print(f"\n{name}")
    for row in groups[:LISTED_GROUPS]:
        print(f"  {padded(row.name or '(none)', 24)}{row.documents:>9,}  {mib(row.bytes):>10}")


def _tokens(t: Counts) -> None:
    print("\ntokens")
    for split in ("train", "validation", *(["test"] if t.get("test_rows") else [])):
        n, size = t.get(f"{split}_tokens", 0), t.get(f"{split}_bytes", 0)
        rate = f"{size / n:.2f} bytes/token" if n else ""
        print(f"  {split:<24}{n:>9,}  {t.get(f'{split}_rows', 0):,} rows, {rate}")


def _model(m: Trained) -> None:
    print("\nmodel")
    print(f"  parameters              {m.parameters:>9,}")
    print(f"  tokens trained on       {m.tokens_trained:>9,}  {m.tokens_per_s:,.0f} tokens/s on {m.device}")
    print(f"  bits per byte           {m.bits_per_byte:>9.3f}  unigram baseline {m.unigram_bits_per_byte:.3f}")


def show_name_histogram(h: NameHistogram) -> None:
    print(visible(h.signal))
    most = max((v.all for v in h.values), default=1)
    for v in h.values[:LISTED_NAMES]:
        print(f"  {padded(v.name, 10)}{v.all:>8,} of which kept {v.kept:>8,}  {bar(v.all / most)}")


def show_number_histogram(h: NumberHistogram) -> None:
    print(visible(h.signal))
    most = max(k + d for k, d in zip(h.kept, h.dropped, strict=True)) or 1
    for i, (k, d) in enumerate(zip(h.kept, h.dropped, strict=True)):
        print(f"  {h.edges[i]:>12.4g}  kept {k:>7,}  dropped {d:>7,}  {bar((k + d) / most)}")


def show_nearest(n: Nearest) -> None:
    print(f"{visible(n.signal)} around {n.value:g}")
    for side, documents in (("below", n.below), ("above", n.above)):
        print(f"\n{side}")
        for row in documents:
            fate = f"dropped by {row.dropped_by}" if row.dropped_by else "kept"
            print(f"  {row.value:<12.6g}{padded(fate, 30)}{visible(row.url or '')}")
            print(textwrap.indent(textwrap.fill(textwrap.shorten(prose(row.text), 240), 100), "      | "))
