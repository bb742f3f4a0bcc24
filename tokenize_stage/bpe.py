"""Byte-level BPE: training on the curated text, through HF `tokenizers`; the result is a `tokenizer.json`.

Only documents of the train split are seen, so bits per byte on the validation split are honest for the vocabulary
too. Cost: three quarters of it is splitting and counting words, about 3 MB/s a core.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.core.dataset import Dataset, Source
from pipeline.core.errors import DataError
from pipeline.core.executor import Executor
from pipeline.core.files import atomic
from pipeline.core.step import Plan, Progress, ShardResult, Task, Workspace, run_step
from tokenize_stage.config import EOS, TokenizeConfig

VERSION = 1


def train_tokenizer(
    config: TokenizeConfig,
    documents: Dataset,
    space: Workspace,
    executor: Executor,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Train a tokenizer on a dataset. Returns a step whose one file is `tokenizer/00000.json`.

    Raises: StepError if the train split holds no text.
    """
    used = asdict(config)
    del used["row_tokens"]
    engine = {"tokenizers": importlib.metadata.version("tokenizers")}
    plan = Plan("tokenizer", {**used, "engine": engine}, VERSION, upstream={documents.step: documents.key})
    folder = space.dir(plan)
    inputs = tuple(documents.source(f"data/{i:05d}.parquet") for i in documents.shards())
    tasks = [Task("tokenizer", 0, inputs, folder, config)]
    return run_step(plan, folder, tasks, _train, executor, progress=progress, extra={"kind": "tokenizer"})


def _train(task: Task) -> ShardResult:
    config: TokenizeConfig = task.args
    seen = {"documents": 0, "bytes": 0}

    def texts() -> Iterator[str]:
        for text in train_texts(task.inputs, config):
            seen["documents"] += 1
            seen["bytes"] += len(text.encode())
            yield text

    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    if not seen["documents"]:
        raise DataError(
            "no text to train a tokenizer on: the train split is empty. See the funnel (`winnow stats`) for what was "
            "dropped, or lower tokenize.validation_fraction, or split by document instead of host."
        )
    path = task.file("tokenizer", ".json")
    with atomic(path) as tmp:
        tokenizer.save(str(tmp))
    return ShardResult({path: None}, {**seen, "vocabulary": tokenizer.get_vocab_size()})


def new_tokenizer() -> Tokenizer:
    """An untrained byte-level BPE with the GPT-2 split rule (Radford et al. 2019)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_texts(inputs: tuple[Source, ...], config: TokenizeConfig) -> Iterator[str]:
    """Texts of the train split, in input order."""
    for source in inputs:
        with pq.ParquetFile(source.path) as f:
            for batch in f.iter_batches(batch_size=500, columns=["doc_id", "host", "text"]):
                for row in batch.to_pylist():
                    if config.split_of(row["doc_id"], row["host"] or "") == "train":
                        yield row["text"]


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json. Raises: DataError if it is none."""
    try:
        return Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:
        raise DataError(f"{path}: not a tokenizer ({error}).") from error


def end_of_text(tokenizer: Tokenizer) -> int:
    """Id of the token that ends every document. Raises: DataError if the tokenizer has none."""
    found = tokenizer.token_to_id(EOS)
    if found is None:
        raise DataError(f"the tokenizer has no {EOS} token, which ends every document.")
    return int(found)


def token_bytes(tokenizer: Tokenizer) -> list[int]:
    """UTF-8 bytes that each id stands for; 0 for special tokens. Byte-level BPE: a character of a token is a byte."""
    special = {i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special}
    size = tokenizer.get_vocab_size()
    return [0 if i in special else len(tokenizer.id_to_token(i) or "") for i in range(size)]
