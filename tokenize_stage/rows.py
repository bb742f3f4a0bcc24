"""Token shards as files: rows of ids as fixed-size binary, with the documents that are in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.files import LEVEL, atomic
from pipeline.core.schema import DOC_ID
from tokenize_stage.kernels.packing import DOC, FROM, ROW, SIZE, START
from tokenize_stage.pack import Packed

GROUP_BYTES = 1 << 19  # of the tokens in a row group, about: what a reader shuffles by


def row_schema(row_tokens: int, itemsize: int, metadata: dict[str, str]) -> pa.Schema:
    """Schema of a token shard."""
    return pa.schema(
        [
            pa.field("tokens", pa.binary(row_tokens * itemsize), nullable=False),
            pa.field("n_tokens", pa.int32(), nullable=False),
            ("doc_ids", pa.list_(DOC_ID)),
            ("doc_starts", pa.list_(pa.int32())),  # where each document's part begins in the row
            ("doc_tokens", pa.list_(pa.int32())),  # which token of the document that is
            ("doc_sources", pa.list_(pa.string())),
        ],
        metadata=metadata,
    )


def rows_table(
    rows: npt.NDArray[np.unsignedinteger[Any]],
    packed: Packed,
    doc_ids: npt.NDArray[np.uint64],
    sources: pa.Array,
    order: npt.NDArray[np.int64],
    metadata: dict[str, str],
) -> pa.Table:
    """Rows with what is in them. `order[i]` is the row of `packed` that comes i-th."""
    place = np.empty(packed.rows, np.int64)
    place[order] = np.arange(packed.rows)
    pieces = packed.pieces[np.argsort(place[packed.pieces[:, ROW]], kind="stable")]
    where = place[pieces[:, ROW]]
    offsets = pa.array(np.searchsorted(where, np.arange(packed.rows + 1)).astype(np.int32))
    real = np.bincount(where, weights=pieces[:, SIZE], minlength=packed.rows).astype(np.int32)
    docs = np.ascontiguousarray(doc_ids[pieces[:, DOC]])
    itemsize = rows.dtype.itemsize
    schema = row_schema(packed.row_tokens, itemsize, metadata)
    tokens = pa.FixedSizeBinaryArray.from_buffers(
        schema.field("tokens").type, packed.rows, [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )
    ids = pa.FixedSizeBinaryArray.from_buffers(DOC_ID, len(docs), [None, pa.py_buffer(docs)])
    return pa.table(
        [
            tokens,
            pa.array(real),
            pa.ListArray.from_arrays(offsets, ids),
            pa.ListArray.from_arrays(offsets, pa.array(pieces[:, START].astype(np.int32))),
            pa.ListArray.from_arrays(offsets, pa.array(pieces[:, FROM].astype(np.int32))),
            pa.ListArray.from_arrays(offsets, sources.take(pa.array(pieces[:, DOC]))),
        ],
        schema=schema,
    )


def write_rows(path: Path, table: pa.Table) -> None:
    """Write a token shard: the tokens plain and in one page per row group, so that a reader finds them in the mapped file."""
    width = table.schema.field("tokens").type.byte_width
    group = min(max(GROUP_BYTES // width, 64), 1_024)
    beside = [f"{n}.list.element" for n in ("doc_ids", "doc_starts", "doc_tokens", "doc_sources")]
    with (
        atomic(path) as tmp,
        pq.ParquetWriter(
            tmp,
            table.schema,
            compression={"tokens": "none", "n_tokens": "zstd", **dict.fromkeys(beside, "zstd")},
            compression_level={"n_tokens": LEVEL, **dict.fromkeys(beside, LEVEL)},
            use_dictionary=["doc_sources.list.element"],
            write_statistics=["n_tokens"],
            data_page_size=1 << 30,
        ) as writer,
    ):
        writer.write_table(table, row_group_size=group)
