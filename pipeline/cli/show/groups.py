"""Whom curation removed, and what evaluation sets a run contains."""

from __future__ import annotations

from pipeline.look.contamination import Contamination
from pipeline.look.representation import Representation
from pipeline.text.visible import cut, padded, visible

LISTED_ITEMS = 20


def show_representation(r: Representation) -> None:
    print(f"{r.documents:,} documents, {r.removed:,} removed ({r.rate:.1%})")
    kind = ""
    for g in r.groups:
        if g.kind != kind:
            kind = g.kind
            print(f"\n  {kind:<32}{'documents':>10}{'removed':>9}{'rate':>8}{'x all':>7}{'z':>7}  mostly by")
        mostly = ", ".join(f"{visible(gate)} {n:,}" for gate, n in list(g.gates.items())[:3])
        numbers = f"{g.documents:>10,}{g.removed:>9,}{g.rate:>8.1%}{g.ratio:>7.2f}{g.z:>7.1f}"
        print(f"  {padded(cut(g.name, 31), 32)}{numbers}  {mostly}")


def show_contamination(c: Contamination) -> None:
    print(f"{c.documents:,} documents contain items\n\n  {'set':<32}{'items':>8}{'seen':>8}{'clean':>8}")
    for s in c.sets:
        print(f"  {padded(s.set, 32)}{s.items:>8,}{s.seen:>8,}{s.clean:>8,}")
    for item in c.items[:LISTED_ITEMS]:
        where = ", ".join(visible(d.url or "") + ("" if d.kept else " (dropped)") for d in item.documents[:3])
        print(f"    {padded(item.item, 30)} {where}")
    if len(c.items) > LISTED_ITEMS:
        print(f"    and {len(c.items) - LISTED_ITEMS:,} more items (--json lists all)")
