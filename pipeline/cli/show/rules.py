"""Rule sets, what rules drop together, and what other bounds would have decided."""

from __future__ import annotations

import textwrap

from pipeline.core.rules import RuleSet
from pipeline.look.rule_sets import RuleSets
from pipeline.look.rules import RuleTable
from pipeline.look.whatif import WhatIf
from pipeline.report.format import mib
from pipeline.text.visible import padded, prose, visible


def show_whatif(w: WhatIf) -> None:
    before, after = w.kept_before, w.kept_after
    print(f"with {visible(', '.join(w.set))}")
    print(f"  kept {before.documents:,} documents ({mib(before.bytes)}) -> {after.documents:,} ({mib(after.bytes)})")
    for side, part in (("gained", w.gained), ("lost", w.lost)):
        print(f"\n{side}: {part.documents:,} documents, {mib(part.bytes)}")
        for kind, groups in (("languages", part.languages), ("hosts", part.hosts)):
            listed = ", ".join(f"{visible(r.name) or '(none)'} {r.documents:,}" for r in groups)
            if listed:
                print(f"  {kind}: {listed}")
        for url in part.examples:
            print(f"    {visible(url or '')}")
    print("\ndropped by gate, before -> after")
    for row in w.gates:
        print(f"  {padded(row.gate, 24)}{row.before:>9,} -> {row.after:>9,}")
    if w.matches and w.gained.documents:
        print(f"\nGained documents would still have to pass: {visible(', '.join(w.matches))}.")
    if not w.measured_all:
        print(
            "Dropped documents were not measured by later gates (curate.measure_dropped = false): gains are an upper bound."
        )


def show_rule_table(t: RuleTable) -> None:
    print(f"{t.documents:,} documents measured; a rule's unique kills would be in the data without it\n")
    print(f"  {'rule':<52}{'fails':>9}{'unique':>9}{'unique text':>13}")
    for r in sorted(t.rules, key=lambda r: (-r.fails, r.gate, r.reason)):
        print(f"  {padded(r.name, 52)}{r.fails:>9,}{r.unique:>9,}{mib(r.unique_bytes):>13}")
    if t.pairs:
        print("\nrules that drop the same documents (documents that fail both / either)")
    for p in t.pairs:
        print(f"  {p.jaccard:>5.0%} {p.both:>8,}  {visible(p.a)}  {visible(p.b)}")


def show_rule_sets(found: RuleSets) -> None:
    for s in found.sets:
        print(f"{padded(s.name, 30)}{s.rules:>3} rules")
        print(textwrap.indent(textwrap.fill(prose(s.source), 96), "    "))


def show_rule_set(s: RuleSet) -> None:
    print(visible(s.name))
    print(textwrap.indent(textwrap.fill(prose(s.source), 96), "  "))
    if s.argument:
        print(f"  written {visible(s.name)}:...: {prose(s.argument)}")
    print(f"\n  {'reason':<28}{'signal':<36}bound")
    for r in s.rules:
        bound = f">= {r.min:g} " if r.min is not None else ""
        bound += f"<= {r.max:g}" if r.max is not None else ""
        if r.one_of:
            bound = "one of " + (r.one_of if isinstance(r.one_of, str) else ", ".join(r.one_of))
        source = f"   {prose(r.source)}" if r.source else ""
        print(f"  {padded(r.reason, 28)}{padded(r.signal, 36)}{visible(bound)}{source}")
        for language, own in r.by_language.items():
            print(f"  {'':<64}{visible(f'{language}: {own}')}")
