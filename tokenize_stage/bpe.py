"""Training a tokenizer on the curated text.

    count     every shard: its pre-tokens and how often each occurs, by kernels; only documents of the train split
    tokenizer all counts in one table, then merges: the most frequent pair again and again

Only documents of the train split are seen, so bits per byte on the validation split are honest for the vocabulary too.
Vocabulary and merges are those that the trainer of Hugging Face's `tokenizers` finds, in the same order; tests compare them.
Memory is that of the table of different pre-tokens, which one pass over the texts fills, and of the merges over it: no text
is held.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import DataError, UsageError
from pipeline.core.files import atomic, sha256_file, write_parquet
from pipeline.core.step import ShardResult, Task
from pipeline.text.batch import TextBatch
from tokenize_stage.config import EOS, UNKNOWN, TokenizeConfig
from tokenize_stage.splits import SPLITS, classes
from tokenize_stage.vocabulary import bpe_tokenizer, byte_chars, load_tokenizer, new_tokenizer

VERSION = 2
BATCH_ROWS = 1_000
WORDS = pa.schema([("word", pa.binary()), ("count", pa.int64())])
NOT_TRAINED = (
    "no text to train a tokenizer on: the train split is empty. See the funnel (`winnow stats`) for what was "
    "dropped, or lower tokenize.validation_fraction, or split by document instead of host."
)
_USED = (
    "kind",
    "split",
    "special_tokens",
    "vocab_size",
    "min_frequency",
    "split_by",
    "validation_fraction",
    "test_fraction",
    "seed",
)


@dataclass(frozen=True)
class Seen:
    """What was counted in all shards: documents of the train split, their UTF-8 bytes, their pre-tokens."""

    documents: int
    bytes: int
    pretokens: int


@dataclass(frozen=True)
class MergeArgs:
    config: TokenizeConfig
    seen: Seen


def train_tokenizer(config: TokenizeConfig, documents: Dataset, bench: Bench, *, base: Path = Path()) -> Dataset:
    """Train a tokenizer on a dataset, or take the one that `config` names. Returns a step whose one file is that of
    `tokenize_stage.vocabulary.tokenizer_file`.

    Counts lie in the bench's work folder.

    Args:
        base: where a relative `tokenizer` starts.

    Raises: StepError if the train split holds no text; UsageError if the named tokenizer is not there.
    """
    extra = {"kind": "tokenizer"}
    if config.tokenizer:
        given = given_tokenizer(config, base)
        files = {"tokenizer": given.sha256}
        taking = Task(0, {"tokenizer": (given,)}, None)
        return bench.step("tokenizer", {}, VERSION, [], [taking], take_tokenizer, files=files, extra=extra)
    params = {k: v for k, v in asdict(config).items() if k in _USED}
    if config.kind != "bpe":
        level = Task(0, {"data": documents.every("data")}, config)
        return bench.step("tokenizer", params, VERSION, [documents], [level], train_level, extra=extra)
    counted = _count(config, documents, bench.scratch)
    seen = Seen(*(counted.counts.get(k, 0) for k in ("documents", "bytes", "pretokens")))
    merging = Task(0, {"words": counted.every("words")}, MergeArgs(config, seen))
    return bench.step("tokenizer", params, VERSION, [documents], [merging], merge_words, extra=extra)


def given_tokenizer(config: TokenizeConfig, base: Path) -> Source:
    """The tokenizer.json that `config` names. Raises: UsageError if it is not there."""
    given = base / Path(config.tokenizer).expanduser()
    if not given.is_file():
        raise UsageError(f"tokenize.tokenizer: {given}: no such file.")
    return Source(given, sha256_file(given), "tokenizer.json")


def take_tokenizer(task: Task[None]) -> ShardResult:
    """`tokenizer/00000.json`: a copy of the one given."""
    given = task.one("tokenizer").path
    size = load_tokenizer(given).get_vocab_size()
    path = task.file("tokenizer", ".json")
    with atomic(path) as tmp:
        shutil.copyfile(given, tmp)
    return ShardResult({path: None}, {"vocabulary": size})


def _count(config: TokenizeConfig, documents: Dataset, bench: Bench) -> Dataset:
    """The pre-tokens of every shard."""
    params = {k: getattr(config, k) for k in ("split", "split_by", "validation_fraction", "test_fraction", "seed")}
    tasks = [Task(i, {"data": (documents.shard("data", i),)}, config) for i in documents.shards()]
    return bench.step("count", params, VERSION, [documents], tasks, count_shard)


def train_batches(source: Source, config: TokenizeConfig) -> Iterator[TextBatch]:
    """Texts of the train split of one shard."""
    with pq.ParquetFile(source.path) as f:
        for batch in f.iter_batches(batch_size=BATCH_ROWS, columns=["doc_id", "host", "text"]):
            hosts = batch.column("host").to_pylist()
            ids = batch.column("doc_id").to_pylist()
            inside = [config.split_of(i, h or "") == "train" for i, h in zip(ids, hosts, strict=True)]
            yield TextBatch.of_column(batch.column("text").filter(pa.array(inside, pa.bool_())))


class WordCounts:
    """How often each pre-token occurs, in one table of kernels."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, and give the memory back."""
        from tokenize_stage.kernels import words_table as k

        self.table, self.used, self.pool, self.pool_size = k.new_table(1 << 16), 0, np.empty(1 << 16, np.uint8), 0

    def count(self, batch: TextBatch, rule: npt.NDArray[np.int64]) -> None:
        """Cut texts by a rule of `tokenize_stage.splits` and count."""
        from tokenize_stage.kernels.bpe_train import count_pretokens

        self.table, self.used, self.pool, self.pool_size = count_pretokens(
            batch.data, batch.offsets, classes(), rule, self.table, self.used, self.pool, self.pool_size
        )

    def add(self, words: pa.Array, counts: pa.Array) -> None:
        """Add words that were counted elsewhere."""
        from tokenize_stage.kernels.words_table import add_words

        batch = TextBatch.of_column(words)
        self.table, self.used, self.pool, self.pool_size = add_words(
            batch.data, batch.offsets, counts.to_numpy(), self.table, self.used, self.pool, self.pool_size
        )

    def words(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(bytes one after the other, offsets, counts)."""
        from tokenize_stage.kernels.words_table import words_of_table

        flat, offsets, counts = words_of_table(self.table, self.used, self.pool)
        return flat, offsets, counts

    @property
    def nbytes(self) -> int:
        return int(self.table.nbytes + self.pool.nbytes)


def count_shard(task: Task[TokenizeConfig]) -> ShardResult:
    """`words/<n>`: the pre-tokens of a shard's train texts, in the order of the table."""
    config = task.args
    rule = SPLITS[config.split].rule
    found = WordCounts()
    documents = size = 0
    for batch in train_batches(task.one("data"), config):
        found.count(batch, rule)
        documents += len(batch.offsets) - 1
        size += len(batch.data)
    flat, offsets, counts = found.words()
    words = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(counts), [None, pa.py_buffer(offsets), pa.py_buffer(flat)]
    )
    path = task.file("words")
    write_parquet(path, pa.table([words.cast(pa.binary()), pa.array(counts)], schema=WORDS))
    totals = {"documents": documents, "bytes": size, "pretokens": int(counts.sum()), "words": len(counts)}
    return ShardResult({path: len(counts)}, totals)


def merge_words(task: Task[MergeArgs]) -> ShardResult:
    """`tokenizer/00000.json`: the byte-level BPE of all counted words."""
    config, seen = task.args.config, task.args.seen
    if not seen.documents:
        raise DataError(NOT_TRAINED)
    found = WordCounts()
    for source in task.all("words"):
        with pq.ParquetFile(source.path) as f:
            for batch in f.iter_batches():
                found.add(batch.column("word"), batch.column("count"))
    path = task.file("tokenizer", ".json")
    different = found.used
    tokenizer = train_bpe(config, found)
    with atomic(path) as tmp:
        tokenizer.save(str(tmp))
    return ShardResult({path: None}, {**asdict(seen), "words": different, "vocabulary": tokenizer.get_vocab_size()})


def train_bpe(config: TokenizeConfig, words: WordCounts) -> Tokenizer:
    """A byte-level BPE from counted pre-tokens: special tokens first, then the 256 bytes in the order of the characters that
    stand for them, then merges. The counts are gone afterwards: merging needs the words, not their table."""
    from tokenize_stage.kernels.bpe_train import train_merges
    from tokenize_stage.kernels.spelling import spelling_of

    specials = [EOS, *config.special_tokens]
    order = sorted(range(256), key=byte_chars().__getitem__)
    ids = np.empty(256, np.uint16 if config.vocab_size <= 1 << 16 else np.uint32)
    ids[order] = np.arange(len(specials), len(specials) + 256)
    tokens = [b""] * len(specials) + [bytes([b]) for b in order]
    spelled = np.zeros((len(tokens), 2), np.uint64)
    for i, b in enumerate(order, len(specials)):
        spelled[i] = spelling_of(b), 1
    for i in range(len(specials)):
        spelled[i] = i, 0
    flat, offsets, counts = words.words()
    words.clear()
    symbols = ids[flat]
    del flat
    merges = train_merges(symbols, offsets, counts, spelled, len(tokens), config.vocab_size, config.min_frequency)
    for left, right, made in merges.tolist():
        if made == len(tokens):
            tokens.append(tokens[left] + tokens[right])
    return bpe_tokenizer(SPLITS[config.split], specials, merges, tokens)


def train_level(task: Task[TokenizeConfig]) -> ShardResult:
    """`tokenizer/00000.json`: words (as the split rule has them) or characters, the most frequent ones, with [UNK] for the
    rest."""
    config = task.args
    specials = [EOS, UNKNOWN, *config.special_tokens]
    if config.kind == "word":
        tokenizer = new_tokenizer(SPLITS[config.split], models.WordLevel(unk_token=UNKNOWN))
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=specials,
        show_progress=False,
    )
    seen = {"documents": 0, "bytes": 0}

    def texts() -> Iterator[str]:
        for source in task.all("data"):
            for batch in train_batches(source, config):
                seen["documents"] += len(batch.offsets) - 1
                seen["bytes"] += len(batch.data)
                yield from (batch.text(i) for i in range(len(batch.offsets) - 1))

    tokenizer.train_from_iterator(texts(), trainer)
    if not seen["documents"]:
        raise DataError(NOT_TRAINED)
    path = task.file("tokenizer", ".json")
    with atomic(path) as tmp:
        tokenizer.save(str(tmp))
    return ShardResult({path: None}, {**seen, "vocabulary": tokenizer.get_vocab_size()})
