"""How well tokenizers fit a text: compression, fertility, what is never used or never reached, speed; side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.core.answers import ABSENT
from pipeline.core.dataset import Dataset, shard_of
from pipeline.core.errors import UsageError
from pipeline.core.files import read_json
from pipeline.text.batch import TextBatch
from tokenize_stage.config import UNKNOWN
from tokenize_stage.encode import Encoder, choose_encoder
from tokenize_stage.vocabulary import load_tokenizer, special_ids, spellings

BATCH_ROWS = 500
RENYI_ALPHA = 2.5  # Zouhar et al. 2023, "Tokenization and the Noiseless Channel", the best predictor there
LISTED = 20
FEW_DOCUMENTS = 1


@dataclass(frozen=True)
class GroupRates:
    """What a tokenizer made of the texts of a language or a host; `tokens_per_word` is fertility, over words as signals count
    them."""

    name: str
    documents: int
    bytes: int
    tokens: int
    bytes_per_token: float
    tokens_per_word: float
    unknown_share: float


@dataclass(frozen=True)
class Glitch:
    """An entry that is likely to be hardly trained, and why: "unreached", or long and in "one document" only."""

    id: int
    token: str
    count: int
    why: str


@dataclass(frozen=True)
class Evaluated:
    """One tokenizer on the texts.

    Attributes:
        engine_note: why it is not encoded by the kernel.
        bytes_per_token, tokens_per_word: compression, and fertility over words as signals count them.
        unknown_share: of tokens; unknown_bytes_share: of the text (for tokenizers with [UNK]).
        unused: entries that never occur in these texts.
        unreached: entries whose own text is encoded in another way, so that nothing but a special case can make them.
        partial: entries that are no whole characters.
        renyi_efficiency: Rényi entropy of order 2.5 of the tokens over log of the vocabulary (Zouhar et al. 2023).
        overlap: share of the entries that the first tokenizer has too (Jaccard).
        megabytes_per_s: of encoding, CPU time.
        glitch: entries that are likely to be hardly trained (Land and Bartolo 2024).
        languages, hosts: the largest first.
    """

    name: str
    path: str
    model: str
    vocabulary: int
    engine: str
    engine_note: str | None = field(metadata=ABSENT)
    tokens: int
    bytes_per_token: float
    tokens_per_word: float
    unknown_share: float
    unknown_bytes_share: float
    unused: int
    unreached: int
    partial: int
    renyi_efficiency: float
    overlap: float
    megabytes_per_s: float
    glitch: tuple[Glitch, ...]
    languages: tuple[GroupRates, ...]
    hosts: tuple[GroupRates, ...]


@dataclass(frozen=True)
class Evaluation:
    """Tokenizers side by side, on so many documents and bytes of text."""

    documents: int
    bytes: int
    tokenizers: tuple[Evaluated, ...]


@dataclass
class _Sums:
    """Of the texts of a language or a host."""

    documents: int = 0
    bytes: int = 0
    words: int = 0
    tokens: int = 0
    unknown: int = 0

    def rates(self, name: str = "") -> GroupRates:
        return GroupRates(
            name,
            documents=self.documents,
            bytes=self.bytes,
            tokens=self.tokens,
            bytes_per_token=self.bytes / max(self.tokens, 1),
            tokens_per_word=self.tokens / max(self.words, 1),
            unknown_share=self.unknown / max(self.tokens, 1),
        )


@dataclass
class _Tally:
    """What one tokenizer made of the texts."""

    counts: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int32]  # in how many documents each token occurs
    whole: _Sums = field(default_factory=_Sums)
    languages: dict[str, _Sums] = field(default_factory=dict)
    hosts: dict[str, _Sums] = field(default_factory=dict)
    seconds: float = 0.0
    known_bytes: int = 0


def evaluate(documents: Dataset, tokenizers: Sequence[Path], *, max_bytes: int = 50_000_000) -> Evaluation:
    """Compare tokenizers on documents, evenly spread over the dataset.

    Args:
        tokenizers: tokenizer.json files.
        max_bytes: text to look at, about.

    Raises: UsageError if there is no text.
    """
    totals = documents.counts.get("text_bytes", 0)
    step = max(int(totals // max_bytes), 1)
    made: list[Evaluated] = []
    first: set[bytes] = set()
    seen = _Sums()
    for path in tokenizers:
        found, seen, spelt = _evaluate(path, documents, step, first)
        first = first or spelt
        made.append(found)
    return Evaluation(seen.documents, seen.bytes, tuple(made))


def read_evaluation(path: Path) -> Evaluation:
    """An evaluation that was written as JSON."""
    found = read_json(path)
    return Evaluation(found["documents"], found["bytes"], tuple(_evaluated(t) for t in found["tokenizers"]))


def _evaluated(found: Mapping[str, Any]) -> Evaluated:
    groups = {n: tuple(GroupRates(**g) for g in found[n]) for n in ("languages", "hosts")}
    return Evaluated(**{"engine_note": None, **found, **groups, "glitch": tuple(Glitch(**g) for g in found["glitch"])})


def _evaluate(path: Path, documents: Dataset, step: int, first: set[bytes]) -> tuple[Evaluated, _Sums, set[bytes]]:
    """One tokenizer on every `step`-th document, the sums of those, and the tokenizer's entries.

    Args:
        first: entries of the first tokenizer; empty where this is the first.
    """
    tokenizer = load_tokenizer(path)
    words = spellings(tokenizer)
    unknown = tokenizer.token_to_id(UNKNOWN)
    lengths = np.array([len(w) for w in words], np.int64)
    encoder = None
    tally = _Tally(np.zeros(len(words), np.int64), np.zeros(len(words), np.int32))
    why = ""
    for batch, languages, hosts in _batches(documents, step):
        if encoder is None:
            encoder, why = choose_encoder(path, [batch.text(i) for i in range(min(len(languages), 100))])
            encoder.encode(batch)  # compiled and warm, as it would be in a run
        _measure(tally, encoder, batch, languages, hosts, unknown, lengths)
    if not tally.whole.tokens or encoder is None:
        raise UsageError("no text to compare tokenizers on.")
    spelt = {w for w in words if w}
    unreached = _unreached(encoder, words)
    rates = tally.whole.rates()
    found = Evaluated(
        name=path.stem if shard_of(path) is None else path.parent.parent.name,
        path=str(path),
        model=type(tokenizer.model).__name__,
        vocabulary=len(words),
        engine=encoder.name,
        engine_note=why or None,
        tokens=rates.tokens,
        bytes_per_token=rates.bytes_per_token,
        tokens_per_word=rates.tokens_per_word,
        unknown_share=rates.unknown_share,
        unknown_bytes_share=1 - tally.known_bytes / max(tally.whole.bytes, 1),
        unused=int(sum(tally.counts[i] == 0 for i in range(len(words)) if words[i])),
        unreached=len(unreached),
        partial=sum(not _is_text(w) for w in words),
        renyi_efficiency=_renyi(tally.counts),
        overlap=len(spelt & (first or spelt)) / len(spelt | first),
        megabytes_per_s=tally.whole.bytes / 1e6 / max(tally.seconds, 1e-9),
        glitch=_glitch(tally, words, unreached, special_ids(tokenizer)),
        languages=_rows(tally.languages),
        hosts=_rows(tally.hosts),
    )
    return found, tally.whole, spelt


def _batches(documents: Dataset, step: int) -> Iterator[tuple[TextBatch, list[str], list[str]]]:
    """(texts, their languages, their hosts), every `step`-th document."""
    at = 0
    for path in documents.files("data"):
        with pq.ParquetFile(path) as f:
            for batch in f.iter_batches(batch_size=BATCH_ROWS, columns=["text", "language", "host"]):
                rows = np.arange(-at % step, len(batch), step)
                at += len(batch)
                taken = batch.take(rows) if step > 1 else batch
                if len(taken):
                    languages, hosts = ([v or "" for v in taken.column(n).to_pylist()] for n in ("language", "host"))
                    yield TextBatch.of_column(taken.column("text")), languages, hosts


def _measure(
    tally: _Tally,
    encoder: Encoder,
    batch: TextBatch,
    languages: list[str],
    hosts: list[str],
    unknown: int | None,
    lengths: npt.NDArray[np.int64],
) -> None:
    began = time.process_time()
    ids, ends = encoder.encode(batch)
    tally.seconds += time.process_time() - began
    tokens = np.diff(ends, prepend=0)
    sizes, words = np.diff(batch.offsets), np.diff(batch.words.first)
    owner = np.repeat(np.arange(len(tokens)), tokens)
    missing = np.bincount(owner, weights=ids == unknown, minlength=len(tokens)) if unknown is not None else tokens * 0
    tally.counts += np.bincount(ids, minlength=len(tally.counts))
    pairs = np.sort(owner.astype(np.uint64) << np.uint64(32) | ids)
    pairs = pairs[np.diff(pairs, prepend=np.uint64(2**64 - 1)) != 0]
    tally.documents += np.bincount((pairs & np.uint64(0xFFFFFFFF)).astype(np.int64), minlength=len(tally.documents))
    tally.known_bytes += int(lengths[ids].sum())
    rows = zip(sizes.tolist(), words.tolist(), tokens.tolist(), missing.tolist(), strict=True)
    for values, language, host in zip(rows, languages, hosts, strict=True):
        for s in (
            tally.whole,
            tally.languages.setdefault(language, _Sums()),
            tally.hosts.setdefault(host, _Sums()),
        ):
            s.documents += 1
            s.bytes += values[0]
            s.words += values[1]
            s.tokens += values[2]
            s.unknown += int(values[3])


def _unreached(encoder: Encoder, words: list[bytes]) -> list[int]:
    """Entries whose own text comes out as other tokens; entries that are no whole characters are left out."""
    text = [(i, w) for i, w in enumerate(words) if w and _is_text(w)]
    ids, ends = encoder.encode(TextBatch([w.decode() for _, w in text]))
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    return [i for (i, _), a, b in zip(text, starts.tolist(), ends.tolist(), strict=True) if b - a != 1 or ids[a] != i]


def _is_text(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


def _renyi(counts: npt.NDArray[np.int64]) -> float:
    p = counts[counts > 0] / counts.sum()
    entropy = np.log((p**RENYI_ALPHA).sum()) / (1 - RENYI_ALPHA)
    return float(entropy / np.log(len(counts)))


def _glitch(tally: _Tally, words: list[bytes], unreached: list[int], special: set[int]) -> tuple[Glitch, ...]:
    rare = [
        i for i in range(len(words))
        if i not in special and len(words[i]) > 4 and 0 < tally.documents[i] <= FEW_DOCUMENTS
    ]  # fmt: skip
    rare.sort(key=lambda i: (-int(tally.counts[i]), i))
    listed = [(i, "unreached") for i in unreached[:LISTED]] + [(i, "one document") for i in rare[:LISTED]]
    return tuple(
        Glitch(i, words[i].decode("utf-8", "backslashreplace"), int(tally.counts[i]), why) for i, why in listed
    )


def _rows(sums: dict[str, _Sums]) -> tuple[GroupRates, ...]:
    ordered = sorted(sums.items(), key=lambda item: (-item[1].bytes, item[0]))
    return tuple(s.rates(name) for name, s in ordered[:LISTED])
