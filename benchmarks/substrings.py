"""Exact substrings: rate, peak memory and disk on a corpus of any size, with planted quotes that must all be found.

    python benchmarks/substrings.py TEXTS... [--megabytes 500] [--min-tokens 50]

Builds documents from the words of TEXTS (see texts.py; fixed seed) in which every 20th word is made unique, so that nothing
repeats but what is planted: quotes of 60 to 400 tokens, each put into two to five documents. Runs the gate
`exact_substrings` alone over them, with one worker, and checks that of every quote exactly one copy is left. The rate counts
everything from Parquet to curated Parquet, in CPU seconds; memory is the peak of the process that did it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import machine, peak_bytes
from texts import load_texts

from pipeline.cli.progress import Bars
from pipeline.curate.build import curation_of
from pipeline.curate.step import curate
from pipeline.run.session import documents, load_recipe, open_bench

WORDS = 800  # of a document
QUOTES_PER_MB = 4
TABLE_ROWS = 2_000  # that are written at a time, at most


def build(texts: list[Path], megabytes: float, folder: Path) -> None:
    """`texts.parquet` and `quotes.parquet`."""
    rng = np.random.default_rng(1)
    words = np.array(" ".join(load_texts(texts, 3_000)).split())
    quotes = []
    for i in range(round(megabytes * QUOTES_PER_MB)):
        at, n = rng.integers(0, len(words) - 400), rng.integers(60, 400)
        quote = words[at : at + n].astype(object)
        quote[::20] = [f"q{i}x{j}" for j in range(len(quote[::20]))]
        quotes.append(" ".join(quote))
    pending = [q for i, q in enumerate(quotes) for _ in range(2 + i % 4)]
    rng.shuffle(pending)
    written = number = 0
    table_rows = min(TABLE_ROWS, max(int(megabytes * 1e6 / (6 * WORDS)), 1))  # words of 6 bytes
    schema = pa.schema([("url", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(folder / "texts.parquet", schema, compression="zstd") as writer:
        while written < megabytes * 1_000_000 or pending:
            rows = []
            for _ in range(table_rows):
                at = rng.integers(0, len(words) - WORDS)
                part = words[at : at + WORDS].astype(object)
                part[::20] = [f"u{number}x{j}" for j in range(len(part[::20]))]
                middle = [pending.pop()] if pending and rng.random() < 0.5 else []
                rows.append({"url": f"http://h.test/{number}", "text": " ".join([*part[:400], *middle, *part[400:]])})
                written += len(rows[-1]["text"])
                number += 1
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=1_000)
    pq.write_table(pa.table({"quote": quotes}), folder / "quotes.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--megabytes", type=float, default=500)
    parser.add_argument("--min-tokens", type=int, default=50)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder = multiprocessing.get_context("spawn").Process(target=build, args=(args.texts, args.megabytes, folder))
        builder.start()
        builder.join()
        sets = [
            'curate.gates=["exact_substrings"]',
            f"curate.exact_substrings.min_tokens={args.min_tokens}",
            "curate.measure_dropped=false",
        ]
        out = folder / "out"
        recipe = load_recipe(None, sets)
        with open_bench(out, fixed={"curate": out / "curate"}, told=Bars()) as bench:
            extracted = documents(recipe, bench, [folder / "texts.parquet"])
            began, wall = time.process_time(), time.monotonic()
            step = curate(curation_of(recipe), extracted, bench)
            seconds, wall = time.process_time() - began, time.monotonic() - wall
        peak = peak_bytes()
        disk = sum(
            p.stat().st_size for p in (out / ".work").rglob("*.parquet") if "extract" not in str(p.parent.parent.name)
        )
        texts, total = 0, 0
        left: dict[str, int] = {}
        quotes = pq.read_table(folder / "quotes.parquet")["quote"].to_pylist()
        heads = {" ".join(q.split()[:1]): q for q in quotes}
        for path in step.files("data"):
            for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
                total += len(text)
                texts += 1
                for word in text.split():
                    quote = heads.get(word)
                    if quote is not None and quote in text:
                        left[quote] = left.get(quote, 0) + 1
        megabytes = sum(pq.read_table(p, columns=["text"]).nbytes for p in extracted.files("data")) / 1e6
        once = sum(n == 1 for n in left.values())
        print(
            f"{texts:,} documents, {megabytes:.0f} MB, {len(quotes):,} quotes of 60 to 400 tokens in 2 to 5 documents each"
        )
        print(f"{megabytes / seconds:.1f} MB/s of CPU ({seconds:.0f} s; {wall:.0f} s of wall time)")
        print(
            f"peak memory {peak / 2**20:.0f} MiB, working files {disk / 1e6:.0f} MB ({disk / megabytes / 1e6:.1f} x the text)"
        )
        print(f"spans removed {step.counts['edits'].get('substring', 0):,}")
        print(f"quotes of which exactly one whole copy is left: {once:,} of {len(quotes):,}")


if __name__ == "__main__":
    main()
