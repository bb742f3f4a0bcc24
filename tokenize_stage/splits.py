"""Split rules by name: what a text is cut into before byte pairs are merged, as a regular expression and for the kernels.

The expression goes into `tokenizer.json`, so that every other tool splits alike; the kernels do the same without it, with
the character classes that `tokenizers` itself has (a table of them ships as `classes.npz`).

    python -m tokenize_stage.splits      writes classes.npz anew, after an update of `tokenizers`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenize_stage.kernels import pretokens as k

CLASSES_FILE = Path(__file__).with_name("classes.npz")
CODE_POINTS = 0x110000
_CLASSES = {
    k.LETTER: r"\p{L}",
    k.NUMBER: r"\p{N}",
    k.SPACE: r"\s",
    k.UPPER: r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]",
    k.LOWER: r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]",
    k.BREAK: r"[\r\n]",
    k.DENSE: r"[\p{Han}\p{Hiragana}\p{Katakana}ー]",
    k.SCRIPTIO: r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]",
}
_DENSE, _SCRIPTIO = _CLASSES[k.DENSE], _CLASSES[k.SCRIPTIO]
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_BLANK = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_NO_RUN = r"\p{L}&&[^\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
DENSE_RUN, SCRIPTIO_RUN = 8, 16  # characters; longer runs would make nearly every run a word of its own


@dataclass(frozen=True)
class Split:
    """One rule.

    Attributes:
        name: as in `[tokenize] split`.
        pattern: the regular expression; "" for GPT-2's, which `tokenizers` has built in.
        about: where it comes from and what it is for.
        numbers: the rule for the kernels.
    """

    name: str
    pattern: str
    about: str
    numbers: tuple[int, ...]

    @property
    def rule(self) -> npt.NDArray[np.int64]:
        return np.array(self.numbers, np.int64)


def _cl100k(digits: str) -> str:
    letters = rf"[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    return rf"{_CONTRACTIONS}|{letters}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_BLANK}"


_U, _W = _CLASSES[k.UPPER], _CLASSES[k.LOWER]
SPLITS: dict[str, Split] = {
    s.name: s
    for s in (
        Split(
            "gpt2",
            "",
            "GPT-2 (Radford et al. 2019): letters, numbers and marks, each with the blank before them",
            (k.GPT2, 0, 0, 0, 0, 0),
        ),
        Split(
            "cl100k",
            _cl100k("{1,3}"),
            "GPT-4 and Llama 3: any mark before a word belongs to it, numbers of up to three digits, line ends by themselves",
            (k.CL100K, 3, 1, 0, 0, 0),
        ),
        Split(
            "digits",
            _cl100k(""),
            "cl100k with every digit by itself, as Qwen 2 has it: numbers are spelt, never memorised",
            (k.CL100K, 1, 1, 0, 0, 0),
        ),
        Split(
            "o200k",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_U}*{_W}+{_CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{_U}+{_W}*{_CONTRACTIONS}?"
            rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_BLANK}",
            "GPT-4o: words end where capitals begin, combining marks stay with their letters (Hindi, Tamil), addresses",
            (k.O200K, 3, 1, 0, 0, 0),
        ),
        Split(
            "dense",
            rf"{_DENSE}{{1,{DENSE_RUN}}}|{_SCRIPTIO}{{1,{SCRIPTIO_RUN}}}|{_CONTRACTIONS}"
            rf"|[^\r\n\p{{L}}\p{{N}}]?[{_NO_RUN}]+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_BLANK}",
            f"cl100k for scripts without spaces: runs of Han and kana of up to {DENSE_RUN} characters, of Thai, Lao, Khmer and "
            f"Burmese of up to {SCRIPTIO_RUN}, so that whole sentences do not count as words",
            (k.CL100K, 3, 1, 0, DENSE_RUN, SCRIPTIO_RUN),
        ),
        Split(
            "code",
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+"
            r"|\s*[\r\n]+[ \t]*|\s+(?!\S)|\s+",
            "program text: a line end and all indentation after it are one piece, digits by themselves",
            (k.CL100K, 1, 0, 1, 0, 0),
        ),
    )
}


def split_of_pattern(pattern: str) -> Split | None:
    """The rule with this expression, None for another one. Spellings that other tools write are known too."""
    return next((s for s in SPLITS.values() if s.pattern and pattern in (s.pattern, *_SPELLINGS.get(s.name, ()))), None)


_SPELLINGS: dict[str, Sequence[str]] = {
    "cl100k": (  # tiktoken's, with possessive quantifiers
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    )
}


@cache
def classes() -> npt.NDArray[np.uint8]:
    """The classes of every code point, as `tokenize_stage.kernels.pretokens` reads them."""
    with np.load(CLASSES_FILE) as f:
        table: npt.NDArray[np.uint8] = np.repeat(f["classes"], f["lengths"])
    table.setflags(write=False)
    return table


def classes_of_tokenizers() -> npt.NDArray[np.uint8]:
    """The table as the regular expressions of the installed `tokenizers` see it; takes some seconds."""
    from tokenizers import Regex, pre_tokenizers

    codes = np.array([c for c in range(CODE_POINTS) if not 0xD800 <= c < 0xE000])
    text = "".join(map(chr, codes.tolist()))
    table = np.zeros(CODE_POINTS, np.uint8)
    for bit, pattern in _CLASSES.items():
        splitter: Any = pre_tokenizers.Split(Regex(f"(?:{pattern})+"), "isolated")
        inside = pre_tokenizers.Split(Regex(pattern), "removed")
        for piece, (low, high) in splitter.pre_tokenize_str(text):
            if not inside.pre_tokenize_str(piece[0]):
                table[codes[low:high]] |= bit
    return table


def write_classes() -> None:
    """Store the table as runs: characters of one class stand together."""
    table = classes_of_tokenizers()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(table)) + 1])
    lengths = np.diff(np.concatenate([starts, [len(table)]])).astype(np.int32)
    np.savez_compressed(CLASSES_FILE, classes=table[starts], lengths=lengths)


if __name__ == "__main__":
    write_classes()
