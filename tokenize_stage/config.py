"""`[tokenize]`: the tokenizer, the rows and the split. Imports nothing heavy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from pipeline.core.errors import RecipeError

EOS = "<|endoftext|>"


@dataclass(frozen=True)
class TokenizeConfig:
    """Tokenizer and shard parameters.

    Attributes:
        vocab_size: entries with the 256 bytes and the end-of-text token; at most 65,536 gives 2 bytes a token.
        min_frequency: a merge needs a pair that occurs at least so often.
        row_tokens: tokens in a row: context length + 1.
        split_by: "document" puts each document on one side by its doc_id, "host" keeps whole hosts together.
        validation_fraction: share of documents (hosts) whose hash falls on the validation side.
        seed: of that hash.
    """

    vocab_size: int = 32_768
    min_frequency: int = 2
    row_tokens: int = 2_049
    split_by: Literal["document", "host"] = "document"
    validation_fraction: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 257 <= self.vocab_size <= 2**31:
            raise RecipeError(f"tokenize.vocab_size: {self.vocab_size} is below 257 (256 bytes and end of text).")
        if self.row_tokens < 2:
            raise RecipeError(f"tokenize.row_tokens: {self.row_tokens} gives no input/target pair; at least 2.")
        if not 0 < self.validation_fraction < 1:
            raise RecipeError(f"tokenize.validation_fraction: {self.validation_fraction} is not between 0 and 1.")

    def split_of(self, doc_id: bytes, host: str) -> str:
        """ "train" or "validation", from a hash of the document's id or host; never from a position."""
        unit = host.encode() if self.split_by == "host" and host else doc_id
        digest = hashlib.blake2b(unit, digest_size=8, key=self.seed.to_bytes(8, "little")).digest()
        return "validation" if int.from_bytes(digest, "little") < self.validation_fraction * 2**64 else "train"
