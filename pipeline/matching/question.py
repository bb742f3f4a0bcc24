"""Questions: what a gate asks of the whole corpus.

    write   a pass writes a shard's part: `state/<n>`, who is still in, and what the question needs, such as `keys/<n>`
    reduce  steps over the parts of all shards; their result has the answers for shard n in `<folder>/<n>`
    read    the answers for the documents of one shard, as the gate wants them

Copies, counted lines and repeated windows are the three there are. Whoever asks knows this protocol alone: curation cuts its
list of gates where a gate has a question, and goes on with the answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.documents import Doc
from pipeline.core.files import write_parquet
from pipeline.core.schema import DOC_ID
from pipeline.core.step import ShardFiles
from pipeline.matching.index import Known

BATCH_ROWS = 1_000  # documents that are looked at together
SORTED_ROWS = 8_192  # rows of a row group in files that are read by range
STATE = pa.schema(
    [
        pa.field("doc_id", DOC_ID, nullable=False),
        ("row", pa.int64()),  # place in the shard's input
        ("text", pa.string()),  # null: as in the input
        ("language", pa.string()),
        ("language_score", pa.float64()),
        ("shard", pa.int32()),
        ("bytes", pa.int64()),  # of the text, UTF-8
    ]
)  # for a question that keeps one of several also a column for each item of `keep`
Outputs = dict[Path, int | None]
A = TypeVar("A", covariant=True)


@dataclass(frozen=True)
class Corpus:
    """What a question is put to.

    Attributes:
        documents: the input of curation, with the texts.
        asked: the pass that wrote the parts.
        known: an index of earlier documents, for each match that it has.
    """

    documents: Dataset
    asked: Dataset
    known: Mapping[str, Known] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came out.

    Attributes:
        answers: the step with the answers by shard.
        counts: for the manifest of whoever asked; empty where there is nothing to say.
        ranks: the order of the documents, where one of several is kept.
    """

    answers: Dataset
    counts: Mapping[str, int] = field(default_factory=dict)
    ranks: Dataset | None = None


class Question(Protocol[A]):
    """Attributes:
    name: the gate that asks.
    folder: where the answers lie in the step that `reduce` gives.
    """

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> str: ...

    def state(self, docs: Sequence[Doc]) -> list[tuple[str, pa.Array]]:
        """Further columns of `state`."""
        ...

    def write(self, docs: Sequence[Doc], part: ShardFiles) -> Outputs:
        """A shard's part, besides `state`."""
        ...

    def reduce(self, corpus: Corpus, bench: Bench) -> Reply: ...

    def read(self, answers: Source, ids: Sequence[bytes]) -> A:
        """Args: ids: of the documents of the shard, in the order of `state`."""
        ...


class EditFacts(Protocol):
    """What an edit that asks is told about a document."""

    def params(self, doc_id: bytes) -> dict[str, object]:
        """Further keyword arguments of the edit's function."""
        ...


@dataclass(frozen=True)
class Left:
    """A document that is still in, as `state` has it: its row in the input, and its text if that was changed."""

    doc_id: bytes
    row: int
    text: str | None
    language: str | None
    language_score: float | None


def write_state(
    question: Question[object], docs: Sequence[Doc], rows: Sequence[int], changed: set[bytes], part: ShardFiles
) -> Outputs:
    """`state/<n>`.

    Args:
        rows: of the documents in the shard's input. changed: ids of those whose text is another than there.
    """
    columns = {
        "doc_id": [d.doc_id for d in docs],
        "row": rows,
        "text": [d.text if d.doc_id in changed else None for d in docs],
        "language": [d.language for d in docs],
        "language_score": [d.language_score for d in docs],
        "shard": np.full(len(docs), part.shard, np.int32),
        "bytes": [d.text_bytes for d in docs],
    }
    table = pa.table([pa.array(columns[f.name], f.type) for f in STATE], schema=STATE)
    for name, column in question.state(docs):
        table = table.append_column(name, column)
    path = part.file("state")
    write_parquet(path, table, row_group_rows=BATCH_ROWS)
    return {path: len(docs)}


def read_state(path: Path) -> Iterator[Left]:
    """The documents that are still in, in the order of rows."""
    names = ["doc_id", "row", "text", "language", "language_score"]
    table = pq.read_table(path, columns=names)
    for values in zip(*(table[n].to_pylist() for n in names), strict=True):
        yield Left(*values)
