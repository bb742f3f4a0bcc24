"""Texts to ids: one seam, engines with the same ids.

`KernelEncoder` runs byte-level BPE in compiled kernels over the texts' own buffer; `FastokensEncoder` calls the library of that
name, where it is installed, for tokenizers that the kernel does not know; `ReferenceEncoder` calls Hugging Face's `tokenizers`,
for everything else. `choose_encoder` takes the first of them that gives the same ids for a sample as `tokenizers`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.core.files import sha256_file
from pipeline.text.batch import TextBatch
from tokenize_stage.splits import SPLITS, Split, classes, split_of_pattern
from tokenize_stage.vocabulary import byte_chars, facts_of, load_tokenizer, spellings

log = logging.getLogger(__name__)
Ids = npt.NDArray[np.unsignedinteger[Any]]
REMEMBERED = 1 << 21  # pre-tokens; with them the table takes 64 MiB


class Encoder(Protocol):
    """Ids of texts.

    Attributes:
        name: "kernel", "fastokens" or "tokenizers".
        dtype: of the ids: little-endian uint16 where the vocabulary has at most 65,536 entries, else uint32.
    """

    name: str
    dtype: np.dtype[Any]

    def encode(self, batch: TextBatch) -> tuple[Ids, npt.NDArray[np.int64]]:
        """(ids of all texts one after the other, int64 ends of the texts in them)."""
        ...


class Parts(NamedTuple):
    """What the kernel needs of a tokenizer."""

    split: Split
    byte_ids: npt.NDArray[np.int64]
    merges: npt.NDArray[np.int64]  # (n, 3): left, right, new id
    whole: list[tuple[bytes, int]]  # pre-tokens that are taken whole if the vocabulary has them


def dtype_of(vocab_size: int) -> np.dtype[Any]:
    """The type of ids on disk."""
    return np.dtype("<u2" if vocab_size <= 65_536 else "<u4")


class ReferenceEncoder:
    """Hugging Face's `tokenizers`."""

    name = "tokenizers"

    def __init__(self, path: Path) -> None:
        self._tokenizer = load_tokenizer(path)
        self.dtype = dtype_of(facts_of(path).size)

    def encode(self, batch: TextBatch) -> tuple[Ids, npt.NDArray[np.int64]]:
        texts = [batch.text(i) for i in range(len(batch.offsets) - 1)]
        found = [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        ends = np.cumsum([len(i) for i in found], dtype=np.int64)
        return np.concatenate([np.array(i, self.dtype) for i in found] or [np.empty(0, self.dtype)]), ends


class FastokensEncoder:
    """The library fastokens (extra `fast`): normalizers and split rules that the kernel does not know.

    Raises: ValueError if it is not installed, or cannot read the tokenizer.
    """

    name = "fastokens"

    def __init__(self, path: Path) -> None:
        try:
            import fastokens
        except ModuleNotFoundError as error:
            raise ValueError("fastokens is not installed") from error
        try:
            self._tokenizer = fastokens.Tokenizer.from_file(str(path))
        except Exception as error:
            raise ValueError(f"fastokens: {error}") from error
        self.dtype = dtype_of(facts_of(path).size)

    def encode(self, batch: TextBatch) -> tuple[Ids, npt.NDArray[np.int64]]:
        texts = [batch.text(i) for i in range(len(batch.offsets) - 1)]
        ids, offsets = self._tokenizer.encode_batch_flat(texts, split_special_tokens=True)
        return np.frombuffer(ids, "<u4").astype(self.dtype), np.frombuffer(offsets, "<u8")[1:].astype(np.int64)


class KernelEncoder:
    """Byte-level BPE by kernels. Remembers what it has met, from call to call."""

    name = "kernel"

    def __init__(self, parts: Parts, vocab_size: int) -> None:
        from tokenize_stage.kernels import merging
        from tokenize_stage.kernels.memory import new_memory

        self.dtype = dtype_of(vocab_size)
        self._rule, self._byte_ids = parts.split.rule, parts.byte_ids
        self._pairs = merging.pair_table(parts.merges)
        self._two = merging.byte_pairs(parts.byte_ids, self._pairs)
        self._made = parts.merges[:, merging.MADE].astype(np.int32)
        words = b"".join(w for w, _ in parts.whole)
        offsets = np.zeros(len(parts.whole) + 1, np.int64)
        np.cumsum([len(w) for w, _ in parts.whole], out=offsets[1:])
        ids = np.array([i for _, i in parts.whole], np.int64)
        self._memory = new_memory(np.frombuffer(words, np.uint8), offsets, ids, len(ids))

    def encode(self, batch: TextBatch) -> tuple[Ids, npt.NDArray[np.int64]]:
        from tokenize_stage.kernels import bpe_encode as k

        out = np.empty(len(batch.data) + k.SLACK, self.dtype.newbyteorder("="))
        ends, *memory = k.encode(
            batch.data, batch.offsets, classes(), self._rule, self._byte_ids, self._two, self._pairs, self._made,
            *self._memory, REMEMBERED, out,
        )  # fmt: skip
        self._memory = tuple(memory)
        return out[: ends[-1] if len(ends) else 0].astype(self.dtype, copy=False), ends


def parts_of(path: Path) -> Parts | str:
    """What the kernel needs of a tokenizer.json, or what it has that the kernel does not do."""
    return _parts(path, sha256_file(path))


@lru_cache(maxsize=2)
def _parts(path: Path, digest: str) -> Parts | str:
    spec = json.loads(path.read_text("utf-8"))
    model = spec["model"]
    if model.get("type") != "BPE":
        return f"its model is {model.get('type')}, not BPE"
    for name in (
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "byte_fallback",
        "fuse_unk",
    ):
        if model.get(name):
            return f"its model has {name}"
    if spec.get("normalizer"):
        return f"it has a normalizer ({spec['normalizer'].get('type')})"
    if any(not t["special"] for t in spec.get("added_tokens", [])):
        return "it has added tokens that are not special"
    split = _split_of(spec.get("pre_tokenizer") or {})
    if isinstance(split, str):
        return split
    from tokenize_stage.kernels.merging import MAX_IDS, MAX_MERGES

    vocab: dict[str, int] = model["vocab"]
    pairs = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    if max(vocab.values(), default=0) >= MAX_IDS or len(pairs) >= MAX_MERGES:
        return "its vocabulary is too large"
    if any(c not in vocab for c in byte_chars()):
        return "its vocabulary lacks some of the 256 bytes"
    merges = np.array([(vocab[a], vocab[b], vocab[a + b]) for a, b in pairs], np.int64).reshape(-1, 3)
    byte_ids = np.array([vocab[c] for c in byte_chars()], np.int64)
    whole: list[tuple[bytes, int]] = []
    if model.get("ignore_merges"):
        whole = [(w, i) for i, w in enumerate(spellings(load_tokenizer(path))) if w]
    return Parts(split, byte_ids, merges, whole)


def _split_of(spec: dict[str, Any]) -> Split | str:
    """The rule of a pre-tokenizer, or what is unknown about it."""
    if spec.get("type") == "ByteLevel" and not spec.get("add_prefix_space") and spec.get("use_regex", True):
        return SPLITS["gpt2"]
    steps = spec.get("pretokenizers", []) if spec.get("type") == "Sequence" else []
    if [s.get("type") for s in steps] == ["Split", "ByteLevel"]:
        cut, last = steps
        pattern = cut["pattern"].get("Regex")
        found = split_of_pattern(pattern) if pattern else None
        plain = not last.get("add_prefix_space") and not last.get("use_regex", True)
        if found and plain and cut.get("behavior") == "Isolated" and not cut.get("invert"):
            return found
    return "winnow's kernel does not know how it splits texts"


def choose_encoder(path: Path, samples: Sequence[str]) -> tuple[Encoder, str]:
    """The first engine whose ids are those of `tokenizers` for every sample, and why it is not the kernel if it is not.

    Args:
        path: tokenizer.json.
    """
    reference = ReferenceEncoder(path)
    batch = TextBatch(samples)
    expected, ends = reference.encode(batch)
    why = []
    for name in ("kernel", "fastokens"):
        try:
            encoder = encoder_of(path, name)
        except ValueError as error:
            why.append(str(error))
            continue
        found, found_ends = encoder.encode(batch)
        if np.array_equal(expected, found) and np.array_equal(ends, found_ends):
            return encoder, "; ".join(why)
        # the first text whose ids differ
        wrong = next((i for i in range(len(samples)) if not _same(i, expected, ends, found, found_ends)), 0)
        why.append(f"its ids differ from those of `tokenizers` for the text {samples[wrong][:60]!r}")
        log.warning("%s: the %s is not used: %s.", path, name, why[-1])
    return reference, "; ".join(why)


def _same(i: int, a: Ids, a_ends: npt.NDArray[np.int64], b: Ids, b_ends: npt.NDArray[np.int64]) -> bool:
    low_a, low_b = (int(e[i - 1]) if i else 0 for e in (a_ends, b_ends))
    return np.array_equal(a[low_a : a_ends[i]], b[low_b : b_ends[i]])


def encoder_of(path: Path, name: str) -> Encoder:
    """An engine by name; the same one again in the same process, with what it remembers. Raises: ValueError if it is not to
    be had for this tokenizer."""
    return _encoder(path, sha256_file(path), name)


@lru_cache(maxsize=4)
def _encoder(path: Path, digest: str, name: str) -> Encoder:
    if name == "tokenizers":
        return ReferenceEncoder(path)
    if name == "fastokens":
        return FastokensEncoder(path)
    parts = parts_of(path)
    if isinstance(parts, str):
        raise ValueError(parts)
    return KernelEncoder(parts, facts_of(path).size)


def decode(tokenizer_path: Path, ids: Sequence[int] | Ids) -> bytes:
    """The bytes that ids of a byte-level tokenizer stand for: `decode(encode(x)) == x` for any bytes x."""
    words, offsets = _spelled(tokenizer_path, sha256_file(tokenizer_path))
    from tokenize_stage.kernels.bpe_encode import decode as k

    return bytes(k(np.asarray(ids, np.int64), words, offsets).tobytes())


@lru_cache(maxsize=4)
def _spelled(path: Path, digest: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    found = spellings(load_tokenizer(path))
    offsets = np.zeros(len(found) + 1, np.int64)
    np.cumsum([len(w) for w in found], out=offsets[1:])
    return np.frombuffer(b"".join(found), np.uint8), offsets
