"""Tokens: training, encoding to shards, packing and reading, beside every installed peer, in one run.

    python benchmarks/tokens.py TEXT.parquet [--megabytes 100] [--vocab 32768] [--split cl100k]

TEXT.parquet has a column `text`; `--megabytes` of it are used. One thread, CPU seconds. What is compared:

    training   the whole vocabulary: winnow from documents to tokenizer.json, Hugging Face's trainer on the same texts,
               rustbpe (cl100k) and gigatoken (GPT-2 splits) where they are installed; vocabularies are compared as sets, and
               merges in order. Memory: the peak over that before, beside the table of different pre-tokens.
    encoding   Parquet to packed Parquet shards (read, encode, shuffle, pack, write) by winnow, without torch; the peers only
               encode, which flatters them: `encode_batch_fast` of tokenizers, tiktoken's best call, gigatoken, fastokens.
               Ids are compared with those of tokenizers.
    packing    documents cut, padding, pieces a second
    reading    rows to int64 batches, in order and 64 random rows at a time: winnow's shards, a Parquet list column, numpy's
               memmap, litdata and MosaicML streaming where they are installed
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import RUNS, cpu, forget_peak, machine, megabytes_of, peak_bytes
from peers import installed, version
from tokenizers import pre_tokenizers, trainers
from tokenizers.models import BPE

from pipeline.core.dataset import Dataset, open_dataset
from pipeline.run.session import documents as documents_in
from pipeline.run.session import load_recipe, open_bench
from pipeline.text.batch import TextBatch
from tokenize_stage.bpe import WordCounts, train_tokenizer
from tokenize_stage.config import EOS, TokenizeConfig
from tokenize_stage.encode import encoder_of
from tokenize_stage.gather import documents_of
from tokenize_stage.pack import pack
from tokenize_stage.reader import TokenShards
from tokenize_stage.shards import tokenize
from tokenize_stage.splits import SPLITS
from tokenize_stage.vocabulary import load_tokenizer, new_tokenizer, spellings, tokenizer_file

CALL = 2_048  # texts a call for peers that take lists
ROWS_A_CALL = 64
READ_TOKENS = 40_000_000  # that readers go through in order
Rates = tuple[float, float]  # M tokens/s in order, and at random


def texts_of(path: Path, megabytes: float) -> list[str]:
    found, size = [], 0.0
    for batch in pq.ParquetFile(path).iter_batches(columns=["text"]):
        for text in batch.column(0).to_pylist():
            if text and size < megabytes * 1e6:
                found.append(text)
                size += len(text.encode())
    return found


def config_of(*sets: str) -> TokenizeConfig:
    config: TokenizeConfig = load_recipe(None, [f"tokenize.{s}" for s in sets]).section("tokenize")
    return config


def unknown(tokenizer: Path, folder: Path) -> Path:
    """The same tokenizer under another path: an encoder remembers by path what it has met, so this one knows nothing."""
    path = Path(tempfile.mkdtemp(dir=folder)) / tokenizer.name
    shutil.copy(tokenizer, path)
    return path


def training(texts: list[str], documents: Dataset, args: argparse.Namespace, folder: Path) -> Path:
    size = megabytes_of(texts)
    print(f"\ntraining, {args.vocab:,} entries, {size:.0f} MB")
    ours: Path | None = None
    for split in dict.fromkeys([args.split, "gpt2"]):
        print(f" split {split}")
        # all documents but a handful: winnow trains on the train side alone, the peers get the same texts
        config = config_of(f"vocab_size={args.vocab}", f'split="{split}"', "validation_fraction=1e-9")
        before = forget_peak()
        with open_bench(folder / f"train-{split}") as bench:
            seconds, step = cpu(partial(train_tokenizer, config, documents, bench))
        grown = peak_bytes() - before
        path = tokenizer_file(step)
        counts = WordCounts()
        for at in range(0, len(texts), CALL):
            counts.count(TextBatch(texts[at : at + CALL]), SPLITS[split].rule)
        made = load_tokenizer(path)
        vocabulary, merges = set(spellings(made)) - {b""}, json.loads(path.read_text())["model"]["merges"]
        table = counts.nbytes / 2**20
        print(
            f"  {'winnow':<22}{seconds:>7.1f} s   {counts.used:,} different pre-tokens, table {table:.0f} MiB, "
            f"peak over before {grown / 2**20:.0f} MiB"
        )
        ours = ours or path
        reference = new_tokenizer(SPLITS[split], BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=args.vocab,
            min_frequency=2,
            special_tokens=[EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        before = forget_peak()
        theirs, _ = cpu(partial(reference.train_from_iterator, iter(texts), trainer))
        their_peak = (peak_bytes() - before) / 2**20
        spec = json.loads(reference.to_str())["model"]
        same = set(spellings(reference)) - {b""} == vocabulary
        _trained(version("tokenizers"), theirs, seconds, same, spec["merges"] == merges)
        print(f"  {'':<22}its peak over before {their_peak:.0f} MiB")
        if split == "cl100k" and installed("rustbpe"):
            import rustbpe

            other = rustbpe.Tokenizer()
            theirs, _ = cpu(
                partial(other.train_from_iterator, iter(texts), args.vocab - 1, pattern=SPLITS[split].pattern)
            )
            ranks = {bytes(b) for b, _ in other.get_mergeable_ranks()}
            _trained(version("rustbpe"), theirs, seconds, ranks == vocabulary, None)
        if split == "gpt2" and installed("gigatoken"):
            import gigatoken

            joined = folder / "giga.parquet"
            pq.write_table(pa.table({"text": texts}), joined)
            theirs, other = cpu(
                partial(gigatoken.train_bpe, gigatoken.ParquetFileSource([str(joined)]), args.vocab, [EOS])
            )
            words = {bytes(v) for v in other[0].values()} - {EOS.encode()}
            _trained(version("gigatoken"), theirs, seconds, words == vocabulary, None)
    assert ours is not None
    return ours


def _trained(name: str, theirs: float, ours: float, same: bool, order: bool | None) -> None:
    merges = {None: "", True: ", merges in the same order", False: ", merges in another order"}[order]
    print(f"  {name:<22}{theirs:>7.1f} s   winnow {theirs / ours:.1f} x; same vocabulary: {same}{merges}")


def encoding(texts: list[str], documents: Dataset, tokenizer: Path, args: argparse.Namespace, folder: Path) -> Dataset:
    size = megabytes_of(texts)
    few = texts[: max(len(texts) // 5, 1)]
    small = megabytes_of(few)
    print(f"\nencoding, {size:.0f} MB (tokenizers {small:.0f} MB)")
    config = config_of("row_tokens=1025", f"validation_fraction={args.validation}")
    times = []
    for run in range(args.runs):
        fresh, out = unknown(tokenizer, folder), folder / f"encode-{run}"
        with open_bench(out, fixed={"tokenize": out / "out"}) as bench:
            seconds, step = cpu(partial(tokenize, config, documents, fresh, bench))
        times.append(seconds)
    whole = statistics.median(times)
    batches = [TextBatch(texts[at : at + CALL]) for at in range(0, len(texts), CALL)]
    cold, warm = [], []
    for _ in range(args.runs):
        encoder = encoder_of(unknown(tokenizer, folder), "kernel")
        cold.append(cpu(partial(_all, encoder, batches))[0])
        warm.append(cpu(partial(_all, encoder, batches))[0])
    alone, again = statistics.median(cold), statistics.median(warm)
    print(f"  {'winnow, to shards':<32}{size / whole:>7.1f} MB/s of CPU, Parquet to packed Parquet")
    print(f"  {'winnow, ids alone':<32}{size / alone:>7.1f} MB/s; {size / again:.1f} once pre-tokens are known")
    ids = np.concatenate([encoder.encode(b)[0] for b in batches])
    reference = load_tokenizer(tokenizer)
    found: Any

    def row(name: str, seconds: float, megabytes: float, found: Any) -> None:
        same = np.array_equal(np.asarray(found, np.int64), ids[: len(found)].astype(np.int64)) if len(found) else False
        ratio = megabytes / seconds
        print(
            f"  {name:<32}{ratio:>7.1f} MB/s   winnow to shards {size / whole / ratio:.1f} x, ids alone "
            f"{size / alone / ratio:.1f} x; ids equal: {same}"
        )

    def calls(given: list[str]) -> Iterator[list[str]]:
        return (given[at : at + CALL] for at in range(0, len(given), CALL))

    seconds, found = cpu(
        lambda: [e.ids for c in calls(few) for e in reference.encode_batch_fast(c, add_special_tokens=False)]
    )
    row(version("tokenizers"), seconds, small, [i for e in found for i in e])
    if installed("tiktoken"):
        import tiktoken

        words = spellings(reference)
        first = 1  # the end of text is no merge
        ranks = {w: i - first for i, w in enumerate(words) if w}
        own = tiktoken.Encoding("bench", pat_str=TIKTOKEN, mergeable_ranks=ranks, special_tokens={EOS: len(words)})
        best: tuple[float, str, Any] = (1e9, "", [])

        def in_lists() -> Any:
            return [i for c in calls(texts) for t in own.encode_ordinary_batch(c, num_threads=1) for i in t]

        def in_arrays() -> Any:
            return np.concatenate([own.encode_to_numpy(t) for t in texts])

        for name, call in (("encode_ordinary_batch", in_lists), ("encode_to_numpy", in_arrays)):
            seconds, found = cpu(call)
            if seconds < best[0]:
                best = (seconds, name, found)
        row(f"tiktoken {best[1]}", best[0], size, np.asarray(best[2]) + first)
    if installed("gigatoken"):
        import gigatoken

        giga = gigatoken.Tokenizer(str(tokenizer))
        giga.encode_batch(few[:10])
        seconds, found = cpu(lambda: [giga.encode_batch(c) for c in calls(texts)])
        row(version("gigatoken"), seconds, size, _flat(found))
    if installed("fastokens"):
        import fastokens

        fast = fastokens.Tokenizer.from_file(str(tokenizer))
        fast.encode_batch_flat(few[:10])
        fast = fastokens.Tokenizer.from_file(str(tokenizer))
        seconds, found = cpu(lambda: [fast.encode_batch_flat(c) for c in calls(texts)])
        row(version("fastokens"), seconds, size, np.concatenate([np.frombuffer(f[0], np.uint32) for f in found]))
    made: Dataset = step
    return made


# cl100k as tiktoken writes it, in possessive form: its own engine is fastest so
TIKTOKEN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"


def _all(encoder: Any, batches: list[TextBatch]) -> None:
    for batch in batches:
        encoder.encode(batch)


def _flat(found: list[Any]) -> Any:
    parts = []
    for batch in found:
        for one in batch:
            parts.append(np.asarray(one, np.int64))
    return np.concatenate(parts)


def packing(step: Dataset) -> None:
    lengths = np.concatenate([g.lengths for g in documents_of(step, "train")])
    print(f"\npacking at 2,049 tokens, {len(lengths):,} documents of {int(lengths.mean()):,} tokens on average")
    longer = int((lengths > 2_049).sum())
    for how in ("best_fit", "concat", "pad"):
        seconds, made = cpu(partial(pack, lengths, row_tokens=2_049, how=how))
        c = made.counts
        share = c["padding"] / (c["rows"] * 2_049)
        print(
            f"  {how:<10}{c['cut']:>8,} cut ({longer:,} are longer than a row)   padding {share:.3%}   "
            f"{c['pieces'] / seconds / 1e6:.1f} M pieces/s"
        )


@dataclass(frozen=True)
class Reads:
    """What every reader reads: `rows` of `width` tokens in order, then the rows of `order`, 64 a call; `runs` times."""

    rows: int
    width: int
    order: npt.NDArray[np.int64]
    runs: int

    def rate(self, work: Callable[[], int]) -> float:
        """M tokens/s, median; `work` returns the tokens that it read."""
        work()
        found = []
        for _ in range(self.runs):
            seconds, tokens = cpu(work)
            found.append(tokens / seconds / 1e6)
        return float(statistics.median(found))


def reading(step: Dataset, folder: Path, runs: int) -> None:
    shards = TokenShards(step, "train")
    width = shards.row_tokens
    rows = min(READ_TOKENS // width, shards.rows)
    order = np.random.default_rng(0).integers(0, shards.rows, (200, ROWS_A_CALL))
    reads = Reads(rows, width, order, runs)
    size = sum(p.stat().st_size for p in step.files("train"))
    print(
        f"\nreading to int64, rows of {width:,}: {rows * width / 1e6:.0f} M tokens in order, then 64 random rows at a time"
    )
    out = np.empty((ROWS_A_CALL, width), np.int64)

    def in_order() -> int:
        for at in range(0, rows, ROWS_A_CALL):
            n = min(ROWS_A_CALL, rows - at)
            shards.read(np.arange(at, at + n), out[:n])
        return rows * width

    def at_random() -> int:
        for o in order:
            shards.read(o, out)
        return int(order.size) * width

    ours = reads.rate(in_order), reads.rate(at_random)
    _row("winnow", size / (shards.rows * width), *ours, ours)
    flat = np.concatenate(
        [shards.read(np.arange(at, min(at + 512, shards.rows)))[0] for at in range(0, shards.rows, 512)]
    )
    memmap_rows(flat, folder / "rows.bin", reads, ours)
    list_rows(flat, folder / "lists.parquet", reads, ours)
    if installed("litdata"):
        litdata_rows(step, folder / "litdata", reads, ours)
    if installed("streaming", "mosaicml-streaming"):
        mds_rows(step, folder / "mds", reads, ours)


def _row(name: str, size: float, ordered: float, random: float, ours: Rates) -> None:
    print(
        f"  {name:<24}{size:>6.2f} bytes/token{ordered:>10,.0f}{random:>10,.1f} M tokens/s"
        f"   winnow {ours[0] / ordered:.1f} x, {ours[1] / random:.0f} x"
    )


def memmap_rows(flat: npt.NDArray[Any], raw: Path, reads: Reads, ours: Rates) -> None:
    flat.astype("<u2").tofile(raw)
    mapped = np.memmap(raw, "<u2", "r").reshape(-1, reads.width)

    def ordered() -> int:
        places = range(0, reads.rows, ROWS_A_CALL)
        return sum(mapped[a : min(a + ROWS_A_CALL, reads.rows)].astype(np.int64).size for a in places)

    def random() -> int:
        return sum(mapped[o].astype(np.int64).size for o in reads.order)

    _row("numpy memmap", 2.0, reads.rate(ordered), reads.rate(random), ours)


def list_rows(flat: npt.NDArray[Any], listed: Path, reads: Reads, ours: Rates) -> None:
    offsets = pa.array(np.arange(len(flat) + 1, dtype=np.int32) * reads.width)
    column = pa.ListArray.from_arrays(offsets, pa.array(flat.astype(np.uint16).ravel()))
    pq.write_table(
        pa.table({"ids": column}), listed, row_group_size=ROWS_A_CALL, compression="none", use_dictionary=False
    )
    file = pq.ParquetFile(listed)

    def group(g: int) -> Any:
        flat_values = file.read_row_group(g, use_threads=False)["ids"].combine_chunks().values
        return flat_values.to_numpy().astype(np.int64).reshape(-1, reads.width)

    def ordered() -> int:
        return sum(group(g).size for g in range(max(reads.rows // ROWS_A_CALL, 1)))

    def random() -> int:
        calls = reads.order[:10]
        return sum(len([group(int(r) // ROWS_A_CALL)[int(r) % ROWS_A_CALL] for r in o]) * reads.width for o in calls)

    _row("Parquet list column", listed.stat().st_size / flat.size, reads.rate(ordered), reads.rate(random), ours)


def litdata_rows(step: Dataset, out: Path, reads: Reads, ours: Rates) -> None:
    from litdata import StreamingDataset, TokensLoader

    from tokenize_stage.export import export

    export(step, "litdata", out)
    data = StreamingDataset(str(out / "train"), item_loader=TokensLoader(block_size=reads.width))
    size = sum(p.stat().st_size for p in (out / "train").glob("*.bin")) / (len(data) * reads.width)

    def ordered() -> int:
        return sum(np.asarray(data[i]).astype(np.int64).size for i in range(min(reads.rows, len(data))))

    def random() -> int:
        return sum(np.asarray(data[int(i) % len(data)]).astype(np.int64).size for o in reads.order[:50] for i in o)

    _row(version("litdata"), size, reads.rate(ordered), reads.rate(random), ours)


def mds_rows(step: Dataset, out: Path, reads: Reads, ours: Rates) -> None:
    from streaming import StreamingDataset

    from tokenize_stage.export import export

    export(step, "mds", out)
    data = StreamingDataset(local=str(out / "train"), batch_size=1)
    size = sum(p.stat().st_size for p in (out / "train").glob("*.mds")) / (len(data) * reads.width)

    def ordered() -> int:
        return sum(data[i]["tokens"].astype(np.int64).size for i in range(min(reads.rows // 4, len(data))))

    def random() -> int:
        return sum(data[int(i) % len(data)]["tokens"].astype(np.int64).size for o in reads.order[:20] for i in o)

    name = "MDS " + version("mosaicml-streaming").split()[1]
    _row(name, size, reads.rate(ordered), reads.rate(random), ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--vocab", type=int, default=32_768)
    parser.add_argument("--split", default="cl100k", choices=list(SPLITS))
    parser.add_argument("--only", default="training,encoding,packing,reading")
    parser.add_argument("--validation", type=float, default=0.01, help="share of documents on that side, in encoding")
    parser.add_argument("--runs", type=int, default=RUNS, help="of encoding and reading; the median counts")
    args = parser.parse_args()
    wanted = args.only.split(",")
    texts = texts_of(args.texts, args.megabytes)
    print(f"{len(texts):,} texts, {machine()}, one thread")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(pa.table({"text": texts}), folder / "texts.parquet", compression="zstd", row_group_size=1_000)
        recipe = load_recipe(None, [])
        with open_bench(folder / "docs") as bench:
            documents = open_dataset(documents_in(recipe, bench, [folder / "texts.parquet"]).dir)
            texts = documents.table("data", ["text"])["text"].to_pylist()  # as winnow cleans them, for all
            warm = folder / "warm.parquet"
            pq.write_table(pa.table({"text": texts[:50]}), warm)
        with open_bench(folder / "warm") as bench:
            config = config_of("vocab_size=300", "validation_fraction=0.5")
            few = documents_in(recipe, bench, [warm])
            tokenize(config, few, tokenizer_file(train_tokenizer(config, few, bench)), bench)  # kernels are loaded
        if "training" in wanted:
            tokenizer = training(texts, documents, args, folder)
        else:
            config = config_of(f"vocab_size={args.vocab}", f'split="{args.split}"')
            with open_bench(folder / "tok") as bench:
                tokenizer = tokenizer_file(train_tokenizer(config, documents, bench))
        step = encoding(texts, documents, tokenizer, args, folder)
        if "packing" in wanted:
            packing(step)
        if "reading" in wanted:
            reading(step, folder, args.runs)


if __name__ == "__main__":
    main()
