"""Copies: what finding them will cost, what bands find, and clusters side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from itertools import zip_longest

from pipeline.cli.show.terminal import print_coloured
from pipeline.look.clusters import Clusters, DroppedCopy, Part
from pipeline.matching.calibrate import Calibration
from pipeline.matching.forecast import Forecast
from pipeline.report.copies import counted, shorten
from pipeline.report.format import bar, mib
from pipeline.text.visible import columns, cut, padded, prose, visible


def forecast_line(f: Forecast) -> str:
    low, high = f.seconds
    disk_low, disk_high = f.disk_bytes
    return (
        f"  {'forecast':<16} {f.documents:,} documents, {mib(f.text_bytes)}: {_span(low, high)} with {f.workers} workers, "
        f"{mib(f.memory_bytes)} of memory, {mib(disk_low)} to {mib(disk_high)} of disk"
    )


def _span(low: float, high: float) -> str:
    if high < 120:
        return f"{low:.0f} to {high:.0f} s"
    if high < 7_200:
        return f"{low / 60:.0f} to {high / 60:.0f} min"
    return f"{low / 3600:.1f} to {high / 3600:.1f} h"


def show_forecast(f: Forecast) -> None:
    print(f"{f.documents:,} documents, {mib(f.text_bytes)} of text; measured on {f.sampled:,} of them")
    for m in f.matches:
        low, high = m.disk_bytes
        print(
            f"  {padded(m.gate, 12)} {m.keys:>14,} keys   {_span(*m.seconds):>18}   {mib(low)} to {mib(high)} of disk"
        )
    low, high = f.disk_bytes
    print(f"together       {_span(*f.seconds)} with {f.workers} workers, {mib(low)} to {mib(high)} of disk")
    print(f"memory         {mib(f.memory_bytes)} at most; --max-memory lets fewer workers run and sorts spill")
    print("The lower figures hold if nothing is a copy, the higher ones if everything is.")


def show_calibration(c: Calibration) -> None:
    print(f"{c.documents:,} documents looked at; {c.pairs:,} pairs resemble each other at all (true Jaccard):")
    most = max((h.pairs for h in c.histogram), default=1)
    for h in c.histogram:
        print(f"  {h.from_:.2f} to {h.to:.2f} {h.pairs:>10,}  {bar(h.pairs / most)}")
    print(f"\npairs at or above min_similarity = {c.min_similarity}: {c.copies:,}")
    print(f"  {'bands x rows':<14}{'found':>9}{'of theory':>11}{'candidates that hold':>22}{'pairs to check':>16}")
    for row in c.bands:
        mark = " <- now" if row.now else " <- suggested" if row.suggested else ""
        found = "-" if row.recall is None else f"{row.recall:.1%}"
        theory = "-" if row.expected_recall is None else f"{row.expected_recall:.1%}"
        holds = "-" if row.precision is None else f"{row.precision:.1%}"
        name = f"{row.bands} x {row.rows_per_band}"
        print(f"  {name:<14}{found:>9}{theory:>11}{holds:>22}{row.candidates:>16,}{mark}")
    print(visible(c.advice))


def show_clusters(found: Clusters) -> None:
    """Clusters in two columns; on a terminal differences have colour, elsewhere [-of the kept-] and {+of the copy+}."""
    width = (min(shutil.get_terminal_size((120, 40)).columns, 160) - 3) // 2
    colour = sys.stdout.isatty()
    sizes = ", ".join(f"{n:,} with {size:,}" for size, n in found.sizes[:6])
    more = ", ..." if len(found.sizes) > 6 else ""
    print(f"{found.clusters:,} clusters, {found.copies:,} dropped copies ({sizes}{more})")
    for cluster in found.shown:
        print(f"\n{visible(cluster.kept or cluster.doc_id)}: {counted(cluster.size)}")
        for copy in cluster.copies:
            _beside(copy, width, colour)


def _beside(copy: DroppedCopy, width: int, colour: bool) -> None:
    """The kept text on the left, the copy on the right."""
    note = f", {copy.note}" if copy.note else ""
    print(f"  {visible(copy.url or copy.doc_id)}  ({visible(f'{copy.gate}, {copy.similarity:.3f}{note}')})")
    left, right = _columns(shorten(copy.parts), colour)
    rows = list(zip_longest(_wrap(left, width), _wrap(right, width), fillvalue=("", 0)))
    for (one, size), (other, _) in rows:
        print_coloured(f"  {one}{' ' * (width - size)}| {other}".rstrip())
    if not rows:
        print("  (the text of the kept document is not in this run)")


def _columns(parts: Sequence[Part], colour: bool) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Words of both sides with their marks: (word, colour code or nothing)."""
    left: list[tuple[str, str]] = []
    right: list[tuple[str, str]] = []
    for kind, one, other in parts:
        for side, words, marks, code in ((left, one, "[-{}-]", "31"), (right, other, "{{+{}+}}", "32")):
            text = prose(words)
            if kind == "differs" and text and not colour:
                text = marks.format(text)
            side += [(w, code if kind == "differs" and colour else "") for w in text.split()]
    return left, right


def _wrap(words: list[tuple[str, str]], width: int) -> list[tuple[str, int]]:
    """Lines and the columns they take."""
    lines: list[tuple[str, int]] = []
    line, size = "", 0
    for word, code in words:
        word = cut(word, width - 3)
        if size and size + 1 + columns(word) > width - 1:
            lines.append((line, size))
            line, size = "", 0
        line += (" " if size else "") + (f"\x1b[{code}m{word}\x1b[0m" if code else word)
        size += columns(word) + (1 if size else 0)
    return [*lines, (line, size)] if line else lines
