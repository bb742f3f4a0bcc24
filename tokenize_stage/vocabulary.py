"""tokenizer.json: reading, writing, and what its tokens stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from pipeline.core.dataset import Dataset
from pipeline.core.errors import DataError
from pipeline.core.files import sha256_file
from tokenize_stage.config import EOS, UNKNOWN
from tokenize_stage.splits import Split


@cache
def byte_chars() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (Radford et al. 2019): printable ones for
    themselves, the others from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in plain]
    found = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [found[b] for b in range(256)]


def chars_of(raw: bytes) -> str:
    """Bytes as a byte-level vocabulary spells them."""
    table = byte_chars()
    return "".join(table[b] for b in raw)


_TO_BYTES = {ord(c): b for b, c in enumerate(byte_chars())}
_BYTE_CHARS = re.compile(f"[{re.escape(''.join(byte_chars()))}]+")


def new_tokenizer(split: Split, model: Any) -> Tokenizer:
    """A byte-level tokenizer with a split rule and a model."""
    tokenizer = Tokenizer(model)
    if split.pattern:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(split.pattern), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def bpe_tokenizer(
    split: Split, specials: Sequence[str], merges: npt.NDArray[np.int64], tokens: list[bytes]
) -> Tokenizer:
    """A byte-level BPE.

    Args:
        specials: tokens of no bytes, with the first ids.
        merges: (n, 3): left, right and new id. tokens: bytes of every id, b"" for special ones.
    """
    names = [specials[i] if i < len(specials) else chars_of(t) for i, t in enumerate(tokens)]
    pairs = [(names[a], names[b]) for a, b in merges[:, :2].tolist()]
    tokenizer = new_tokenizer(split, models.BPE({t: i for i, t in enumerate(names)}, pairs))
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def tokenizer_file(step: Dataset) -> Path:
    """Where the tokenizer.json of a tokenizer step lies."""
    return step.shard("tokenizer", 0, ".json").path


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json; special tokens count as ordinary text where they occur in a text.

    A page that shows `<|endoftext|>` must not end a document. The same object comes again in the same process: do not change
    it.

    Raises: DataError if it is none.
    """
    return _tokenizer(path, sha256_file(path))


@lru_cache(maxsize=8)
def _tokenizer(path: Path, digest: str) -> Tokenizer:
    try:
        made = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:
        raise DataError(f"{path}: not a tokenizer ({error}).") from error
    made.encode_special_tokens = True
    return made


@dataclass(frozen=True)
class Facts:
    """What shards need to know of a tokenizer.

    Attributes:
        size: entries of the vocabulary. eos: id of the token that ends a document, -1 where there is none.
        lengths: UTF-8 bytes that each id stands for, int64.
    """

    size: int
    eos: int
    lengths: npt.NDArray[np.int64]


def facts_of(path: Path) -> Facts:
    """Facts about a tokenizer.json, read once per process and content. Raises: DataError if it is none."""
    return _facts(path, sha256_file(path))


@lru_cache(maxsize=4)
def _facts(path: Path, digest: str) -> Facts:
    tokenizer = load_tokenizer(path)
    try:
        eos = end_of_text(tokenizer)
    except DataError:
        eos = -1
    return Facts(tokenizer.get_vocab_size(), eos, np.array(token_bytes(tokenizer), np.int64))


def end_of_text(tokenizer: Tokenizer) -> int:
    """Id of the token that ends every document. Raises: DataError if the tokenizer has none."""
    for name in (EOS, "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>"):
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    raise DataError(f"the tokenizer has no {EOS} token (nor </s>, <eos>), which ends every document.")


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids that stand for no text."""
    return {i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special}


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether a character of a token is a byte."""
    return "ByteLevel" in type(tokenizer.decoder).__name__ or "ByteLevel" in repr(tokenizer.decoder)


def spellings(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each id stands for: b"" for special tokens and for the unknown."""
    special = special_ids(tokenizer)
    byte_level = is_byte_level(tokenizer)
    found = [b""] * tokenizer.get_vocab_size()
    for token, i in tokenizer.get_vocab().items():
        if i in special or token == UNKNOWN:
            continue
        if byte_level and _BYTE_CHARS.fullmatch(token):
            found[i] = token.translate(_TO_BYTES).encode("latin-1")
        else:
            found[i] = token.encode()
    return found


def token_bytes(tokenizer: Tokenizer) -> list[int]:
    """How many UTF-8 bytes each id stands for; 0 for special tokens and for the unknown."""
    return [len(s) for s in spellings(tokenizer)]
