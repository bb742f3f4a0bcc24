"""`[tokenize]`: the tokenizer, the rows, the mixture and the split. Imports nothing heavy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pipeline.core.errors import RecipeError

EOS = "<|endoftext|>"
UNKNOWN = "[UNK]"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TokenizeConfig:
    """`[tokenize]`: tokenizer, packing and split.

    Attributes:
        tokenizer: a tokenizer.json to use instead of training one; relative to the recipe.
        kind: "bpe" (byte level), or for comparison "word" or "char", which have [UNK] for what they do not know.
        split: what a text is cut into before byte pairs are merged: gpt2, cl100k, digits (one by one), o200k (cased words,
            combining marks), dense (scripts without spaces) or code (indentation).
        special_tokens: further tokens with a meaning of their own; in texts they count as ordinary text.
        vocab_size: entries with the 256 bytes and the end-of-text token; at most 65,536 gives 2 bytes a token.
        min_frequency: a merge needs a pair that occurs at least so often; "word" and "char" an entry.
        row_tokens: tokens in a row: context length + 1.
        packing: "best_fit" (a document is cut only if it is longer than a row), "concat" (end to end, cut anywhere) or
            "pad" (a document a row).
        shard_bytes: text in an output file, about; documents are shuffled over all files.
        mix_by: what counts as a source in the mixture: "source" (input file), "host" or "language".
        weights: share of sources by pattern, `{ "wiki*" = 2.0 }`: how much more than by size they are wanted; 0 leaves out.
        temperature: shares go with tokens^(1/temperature); 1.0 by size, above it small sources count for more.
        max_epochs: how often a document may come in one epoch, at most; 4.0 after Muennighoff et al. 2023.
        max_host_share: share of the train tokens that one host may have.
        split_by: "document" puts each document on one side by its doc_id, "host" keeps whole hosts together.
        validation_fraction: share of documents (hosts) whose hash falls on the validation side.
        test_fraction: share on the test side, which nothing here reads.
        seed: of that hash, of the order and of the mixture.
    """

    tokenizer: str = ""
    kind: Literal["bpe", "word", "char"] = "bpe"
    split: Literal["gpt2", "cl100k", "digits", "o200k", "dense", "code"] = "cl100k"
    special_tokens: list[str] = field(default_factory=list)
    vocab_size: int = 32_768
    min_frequency: int = 2
    row_tokens: int = 2_049
    packing: Literal["best_fit", "concat", "pad"] = "best_fit"
    shard_bytes: int = 64_000_000
    mix_by: Literal["source", "host", "language"] = "source"
    weights: dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    max_epochs: float = 4.0
    max_host_share: float = 1.0
    split_by: Literal["document", "host"] = "document"
    validation_fraction: float = 0.05
    test_fraction: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        least = 257 + len(self.special_tokens)
        if self.kind == "bpe" and not least <= self.vocab_size <= 2**31:
            raise RecipeError(
                f"tokenize.vocab_size: {self.vocab_size} is below {least} (256 bytes, end of text, special tokens)."
            )
        if self.vocab_size < 3:
            raise RecipeError(f"tokenize.vocab_size: {self.vocab_size} leaves no room for a word.")
        if self.row_tokens < 2:
            raise RecipeError(f"tokenize.row_tokens: {self.row_tokens} gives no input/target pair; at least 2.")
        if not 0 < self.validation_fraction < 1:
            raise RecipeError(f"tokenize.validation_fraction: {self.validation_fraction} is not between 0 and 1.")
        if not 0 <= self.test_fraction < 1 - self.validation_fraction:
            raise RecipeError(f"tokenize.test_fraction: {self.test_fraction} leaves nothing to train on.")
        if self.shard_bytes < 1:
            raise RecipeError(f"tokenize.shard_bytes: {self.shard_bytes} is no size.")
        if self.temperature < 1:
            raise RecipeError(f"tokenize.temperature: {self.temperature} is below 1.0, which is by size.")
        if self.max_epochs < 1:
            raise RecipeError(f"tokenize.max_epochs: {self.max_epochs} is below 1.0.")
        if not 0 < self.max_host_share <= 1:
            raise RecipeError(f"tokenize.max_host_share: {self.max_host_share} is not between 0 and 1.")
        if any(w < 0 for w in self.weights.values()):
            raise RecipeError("tokenize.weights: a weight is negative.")
        if EOS in self.special_tokens or len(set(self.special_tokens)) < len(self.special_tokens):
            raise RecipeError(f"tokenize.special_tokens: a token stands twice ({EOS} is always there).")

    @property
    def mixes(self) -> bool:
        """Whether documents may come more or less often than once."""
        return bool(self.weights) or self.temperature != 1.0 or self.max_host_share < 1.0

    def split_of(self, doc_id: bytes, host: str) -> str:
        """ "train", "validation" or "test", from a hash of the document's id or host; never from a position."""
        unit = host.encode() if self.split_by == "host" and host else doc_id
        digest = hashlib.blake2b(unit, digest_size=8, key=self._key).digest()
        place = int.from_bytes(digest, "little") / 2**64
        if place < self.validation_fraction:
            return "validation"
        return "test" if place < self.validation_fraction + self.test_fraction else "train"

    @cached_property
    def _key(self) -> bytes:
        return self.seed.to_bytes(8, "little")
