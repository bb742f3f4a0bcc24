"""The life of a URL."""

from __future__ import annotations

import textwrap
from dataclasses import fields

from pipeline.look.explain import Check, Explanation, Life
from pipeline.look.rows import Decision, Facts, Fetch
from pipeline.text.visible import columns, cut, padded, prose, visible

LISTED_PLACES = 5  # in token shards
SHOWN_CHARS = 2_000  # of a text; of these, as many as fit six lines


def show_explanation(e: Explanation) -> None:
    print(f"{visible(e.target)}\n  {visible(e.verdict)}")
    if e.fetch:
        _fetch(e.fetch)
    for life in e.documents:
        _life(life)


def _fetch(f: Fetch) -> None:
    print("\nfetch")
    print(f"  {visible(f.outcome)}  {f.status or ''}  {visible(f.note or '')}".rstrip())
    print(f"  depth {f.depth}, linked from {visible(f.referrer or 'the seeds')}, {f.time}")
    if f.warc_file:
        print(f"  stored in {visible(f.warc_file)} at byte {f.warc_offset:,}")


def _life(life: Life) -> None:
    print(f"\ndocument {life.doc_id}")
    if life.document:
        _facts(life.document)
    for stage, decisions in (("extract", life.extract), ("curate", life.curate)):
        for d in decisions or ():
            _decision(stage, d)
    if life.checks:
        _checks(life.checks)
    for edit in life.edits or ():
        print(f"  edit {visible(f'{edit.gate}: {edit.kind}')} at characters {edit.start}-{edit.end}")
    for copy in life.copies or ():
        print(f"  kept in place of {visible(copy.url or '')} ({visible(copy.gate)}, {number(copy.similarity)})")
    places = life.tokens or ()
    for r in places[:LISTED_PLACES]:
        print(f"  tokens: {visible(r.split)} shard {r.shard:05d}, row {r.row}, [{r.start}:{r.end}]")
    if len(places) > LISTED_PLACES:
        print(f"  tokens: and {len(places) - LISTED_PLACES} more rows")
    if life.text:
        print(textwrap.indent(textwrap.fill(textwrap.shorten(prose(life.text[:SHOWN_CHARS]), 600), 100), "  | "))


def _facts(facts: Facts) -> None:
    for field in fields(facts):
        value = getattr(facts, field.name)
        if value not in (None, (), "") and field.name not in ("url", "host", "shard"):
            shown = str(list(value) if isinstance(value, tuple) else value)
            print(f"  {field.name:<18}{cut(shown[:161], 160)}")


def _decision(stage: str, d: Decision) -> None:
    alike = f", similarity {number(d.similarity)}" if d.similarity is not None else ""
    kept = f", a copy of {d.kept_url}{alike}" if d.kept_url else ""
    note = f" ({d.note})" if d.note else ""
    why = f"{d.gate}: {', '.join(d.reasons)}{kept}{note}"
    print(f"  dropped at {stage}, gate {visible(why)}")


def _checks(checks: tuple[Check, ...]) -> None:
    """Every rule with its value; x marks those that failed, ? those that had none."""
    names = [("gate", "reason", "signal"), *((c.gate, c.reason, c.signal) for c in checks)]
    wide = [max(columns(visible(n[i])) for n in names[1:]) + 2 for i in range(3)]
    left = ["".join(padded(name, w) for name, w in zip(n, wide, strict=True)) for n in names]
    print(f"\n  {left[0]}{'value':>10}   bound")
    for c, name in zip(checks, left[1:], strict=True):
        value = "-" if c.value is None else visible(c.value) if isinstance(c.value, str) else f"{c.value:.4g}"
        mark = {True: " ", False: "x", None: "?"}[c.passed]
        listed = c.one_of if isinstance(c.one_of, str) else ",".join(c.one_of or ())
        bound = f"in {visible(listed)}" if listed else ""
        bound += f">= {c.min:g} " if c.min is not None else ""
        bound += f"<= {c.max:g}" if c.max is not None else ""
        print(f"{mark} {name}{value:>10}   {bound}")


def number(value: float | None) -> str:
    """A similarity; a decision that names a copy may lack it."""
    return "-" if value is None else f"{value:.3f}"
