"""Forecasts, calibrations and clusters of copies as text for a terminal."""

from __future__ import annotations

from typing import Any

from pipeline.cli.text import bar, mib


def forecast_line(f: dict[str, Any]) -> str:
    low, high = f["seconds"]
    disk_low, disk_high = f["disk_bytes"]
    return (
        f"  {'forecast':<16} {f['documents']:,} documents, {mib(f['text_bytes'])}: {_span(low, high)} with {f['workers']} workers, "
        f"{mib(f['memory_bytes'])} of memory, {mib(disk_low)} to {mib(disk_high)} of disk"
    )


def _span(low: float, high: float) -> str:
    if high < 120:
        return f"{low:.0f} to {high:.0f} s"
    if high < 7_200:
        return f"{low / 60:.0f} to {high / 60:.0f} min"
    return f"{low / 3600:.1f} to {high / 3600:.1f} h"


def show_forecast(f: dict[str, Any]) -> None:
    print(f"{f['documents']:,} documents, {mib(f['text_bytes'])} of text; measured on {f['sampled']:,} of them")
    for m in f["matches"]:
        low, high = m["disk_bytes"]
        print(
            f"  {m['gate']:<12} {m['keys']:>14,} keys   {_span(*m['seconds']):>18}   {mib(low)} to {mib(high)} of disk"
        )
    low, high = f["disk_bytes"]
    print(f"together       {_span(*f['seconds'])} with {f['workers']} workers, {mib(low)} to {mib(high)} of disk")
    print(f"memory         {mib(f['memory_bytes'])} at most; --max-memory lets fewer workers run and sorts spill")
    print("The lower figures hold if nothing is a copy, the higher ones if everything is.")


def show_calibration(c: dict[str, Any]) -> None:
    print(f"{c['documents']:,} documents looked at; {c['pairs']:,} pairs resemble each other at all (true Jaccard):")
    most = max((h["pairs"] for h in c["histogram"]), default=1)
    for h in c["histogram"]:
        print(f"  {h['from']:.2f} to {h['to']:.2f} {h['pairs']:>10,}  {bar(h['pairs'] / most)}")
    print(f"\npairs at or above min_similarity = {c['min_similarity']}: {c['copies']:,}")
    print(f"  {'bands x rows':<14}{'found':>9}{'of theory':>11}{'candidates that hold':>22}{'pairs to check':>16}")
    for row in c["bands"]:
        mark = " <- now" if row["now"] else " <- suggested" if row["suggested"] else ""
        found = "-" if row["recall"] is None else f"{row['recall']:.1%}"
        theory = "-" if row["expected_recall"] is None else f"{row['expected_recall']:.1%}"
        holds = "-" if row["precision"] is None else f"{row['precision']:.1%}"
        name = f"{row['bands']} x {row['rows_per_band']}"
        print(f"  {name:<14}{found:>9}{theory:>11}{holds:>22}{row['candidates']:>16,}{mark}")
    print(c["advice"])
