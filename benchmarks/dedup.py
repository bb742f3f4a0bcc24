"""Near-copy removal beside installed peers: signatures, and end to end from Parquet to Parquet.

    python benchmarks/dedup.py TEXTS... [--documents 20000] [--words 690] [--cyrillic]
        [--datatrove PYTHON] [--text-dedup PYTHON]

Builds documents from the words of TEXTS (see texts.py; fixed seed) and plants near copies of known Jaccard similarity of
word 5-grams. 112 permutations, 14 bands of 8 rows; CPU seconds of one core.

Signatures: from text to the keys of the bands, in this process: winnow, datasketch (SHA-1 and, with xxhash, xxh32), rensa
and daft where they are installed. A planted pair counts as found when a band of both agrees (daft gives no bands' keys: its
signatures are cut into bands here, outside the clock).

End to end: a Parquet file of documents to one without the copies, as each tool does it by itself, in a process of its own:
winnow (`minhash` alone: keys, groups, verification, curated documents with all sidecars), and with the Python of an
environment that has them, text-dedup and datatrove (stock, and with the word splitter `\\w+|[^\\w\\s]`). A planted pair counts
as found when one of both is gone; `false` are documents without a copy that are gone.

With --cyrillic every `e` is a Cyrillic one, so that no such word takes the ASCII path.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import RUNS, machine, median_cpu, megabytes_of, peak_bytes
from peers import PeerFailed, missing, run_peer
from sketches import BANDS, SHINGLE, Keys, bands_of, sketchers
from texts import load_texts

from pipeline.core.documents import Doc
from pipeline.curate.build import curation_of
from pipeline.curate.compile import compile_kernels
from pipeline.curate.step import curate
from pipeline.matching.builtin import jaccard
from pipeline.run.session import documents, load_recipe, open_bench

LEVELS = (0.95, 0.9, 0.86, 0.81, 0.71, 0.52)
Pair = tuple[int, int, int]  # one, other, level


def corpus(words: list[str], documents: int, length: int, per_level: int) -> tuple[list[str], list[Pair]]:
    """(texts, planted pairs). A copy has single words replaced until its similarity is reached."""
    rng = np.random.default_rng(1)
    pairs = len(LEVELS) * per_level
    texts = []
    for n in range(documents - pairs):
        at = rng.integers(0, len(words) - length)
        part = words[at : at + length]
        for i in range(0, length, SHINGLE):  # no two documents share a 5-gram but planted copies
            part[i] = f"{part[i]}{n % 999}{rng.integers(999)}"
        texts.append(" ".join(part))
    planted = []
    for level, similarity in enumerate(LEVELS):
        for k in range(per_level):
            source = level * per_level + k
            # n changes far apart spoil 5 n of length shingles: J = (m - 5 n) / (m + 5 n)
            changes = round((length - 4) * (1 - similarity) / (1 + similarity) / SHINGLE)
            part = texts[source].split()
            for c in range(changes):
                part[int((c + 0.5) * length / changes)] = f"z{rng.integers(10**9)}"
            planted.append((source, len(texts), level))
            texts.append(" ".join(part))
    return texts, planted


def found_pairs(keys: Keys) -> set[tuple[int, int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, key in zip(keys[0].tolist(), keys[1], strict=True):
        groups[key].append(place)
    return {(a, b) for g in groups.values() if len(g) > 1 for a in g for b in g if a < b}


def recall(hits: list[bool], pairs: list[Pair]) -> str:
    return " ".join(
        f"{np.mean([h for h, (_, _, n) in zip(hits, pairs, strict=True) if n == level]):.2f}"
        for level in range(len(LEVELS))
    )


def signatures(texts: list[str], few: list[str], pairs: list[Pair], few_pairs: list[Pair], runs: int) -> None:
    tools = sketchers()
    print(f"\n{'signatures':<22}{'documents/CPU s':>16}{'MB/s':>8}{'x':>7}   recall of the bands       false")
    ours = 0.0
    for name, tool in tools:
        given, planted = (texts, pairs) if name == "winnow" else (few, few_pairs)
        tool(given[:100])
        seconds, keys = median_cpu(partial(tool, given), runs)
        if name == "daft":
            flat = [k for row in keys for k in bands_of(np.array(row, np.uint32))]
            keys = np.repeat(np.arange(len(given)), BANDS), flat
        met = found_pairs(keys)
        rate = len(given) / seconds
        ours = ours or rate
        size = megabytes_of(given)
        hits = [(a, b) in met for a, b, _ in planted]
        false = len(met - {(a, b) for a, b, _ in planted})
        print(f"{name:<22}{rate:>16,.0f}{size / seconds:>8.1f}{ours / rate:>7.1f}   {recall(hits, planted)}{false:>8}")


def write_parquet(path: Path, texts: list[str]) -> None:
    pq.write_table(
        pa.table({"id": [str(i) for i in range(len(texts))], "text": texts}),
        path,
        compression="zstd",
        row_group_size=1_000,
    )


def run_winnow(source: Path, out: Path, result: Any) -> None:
    """The matches of a recipe alone, in this process; puts (CPU seconds, rest, ids kept, peak bytes) into `result`."""
    compile_kernels()
    sets = [
        'curate.gates=["minhash"]', 'curate.keep=["source_offset"]', "curate.max_source_loss=1.0", "curate.measure_dropped=false",
    ]  # fmt: skip
    recipe = load_recipe(None, sets)
    with open_bench(out, fixed={"curate": out / "curate"}) as bench:
        began = time.process_time()
        extracted = documents(recipe, bench, [source])
        read = time.process_time()
        step = curate(curation_of(recipe), extracted, bench)
        ended = time.process_time()
    rows = [
        json.loads(m)["id"]
        for p in step.files("data")
        for m in pq.read_table(p, columns=["metadata"])["metadata"].to_pylist()
    ]
    result.put((ended - read, read - began, rows, peak_bytes()))


def end_to_end(
    texts: list[str], few: list[str], pairs: list[Pair], few_pairs: list[Pair], sides: list[tuple[str, str, int]]
) -> None:
    """A line per tool; `sides` are (tool, python, documents)."""
    print(
        f"\n{'end to end':<22}{'documents/CPU s':>16}{'MB/s':>8}{'x':>7}   recall                    false   peak MiB"
    )
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_parquet(folder / "all.parquet", texts)
        result = context.Queue()
        child = context.Process(target=run_winnow, args=(folder / "all.parquet", folder / "winnow", result))
        child.start()
        seconds, reading, kept, peak = result.get()
        child.join()
        ours = len(texts) / (seconds + reading)
        _line("winnow", texts, pairs, seconds + reading, kept, peak, ours)
        print(f"{'  of that, curation':<22}{len(texts) / seconds:>16,.0f}")
        for tool, python, documents in sides:
            given = few[:documents]
            planted = [p for p in few_pairs if p[1] < len(given)]
            source = folder / f"{tool}.parquet"
            write_parquet(source, given)
            script = Path(__file__).parent / "dedup_side.py"
            try:
                told = json.loads(run_peer(python, str(script), tool, str(source), str(folder / tool)))
            except PeerFailed as failed:
                print(f"{tool}: {str(failed).splitlines()[-1]}")
                continue
            _line(f"{tool} {told['version']}", given, planted, told["cpu"], told["kept"], told["peak"], ours)


def _line(
    name: str, texts: list[str], pairs: list[Pair], seconds: float, kept: list[str], peak: int, ours: float
) -> None:
    rate = len(texts) / seconds
    size = megabytes_of(texts)
    left = {int(i) for i in kept}
    hits = [a not in left or b not in left for a, b, _ in pairs]
    with_copy = {p for a, b, _ in pairs for p in (a, b)}
    false = sum(i not in left and i not in with_copy for i in range(len(texts)))
    print(
        f"{name:<22}{rate:>16,.0f}{size / seconds:>8.1f}{ours / rate:>7.1f}   {recall(hits, pairs)}{false:>8}{peak / 2**20:>11,.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=690)
    parser.add_argument("--peer-documents", type=int, default=3_000, help="peers get so many: they are slower")
    parser.add_argument("--runs", type=int, default=RUNS, help="of signatures; the median counts")
    parser.add_argument("--cyrillic", action="store_true")
    parser.add_argument("--datatrove", default="", help="Python of an environment with datatrove and spaCy")
    parser.add_argument("--text-dedup", default="", help="Python of an environment with text-dedup")
    args = parser.parse_args()
    words = " ".join(load_texts(args.texts, 2_000)).split()
    if args.cyrillic:
        words = [w.replace("e", "е") for w in words]
    per_level = args.peer_documents // (4 * len(LEVELS))
    texts, pairs = corpus(words, args.documents, args.words, per_level)
    # the planted ones in front, so that any number of documents has as many of each level as can be
    half = [texts[a] for a, _, _ in pairs]
    order = np.random.default_rng(2).permutation(len(pairs)).tolist()
    few = [t for i in order for t in (half[i], texts[pairs[i][1]])]
    few += texts[len(pairs) : len(pairs) + args.peer_documents - len(few)]
    few_pairs = [(2 * k, 2 * k + 1, pairs[i][2]) for k, i in enumerate(order)]
    megabytes = megabytes_of(texts)
    print(
        f"{len(texts):,} documents, {megabytes:.0f} MB, {per_level} planted pairs at each similarity; peers get {len(few):,}"
    )
    print(machine())
    true = [
        np.mean(
            [jaccard(Doc(b"", texts[a]), Doc(b"", texts[b]), shingle_words=SHINGLE) for a, b, n in pairs if n == level]
        )
        for level in range(len(LEVELS))
    ]
    print("true Jaccard similarities " + " ".join(f"{t:.2f}" for t in true))
    signatures(texts, few, pairs, few_pairs, args.runs)
    sides = [("text-dedup", args.text_dedup, len(few))] if args.text_dedup else []
    if args.datatrove:
        sides += [("datatrove-regex", args.datatrove, len(few)), ("datatrove-stock", args.datatrove, len(few) // 5)]
    for tool, given in (("text-dedup", args.text_dedup), ("datatrove", args.datatrove)):
        if not given:
            missing(tool, "no environment given")
    end_to_end(texts, few, pairs, few_pairs, sides)


if __name__ == "__main__":
    main()
