"""How well tokenizers fit a text: compression, fertility, what is never used or never reached, speed; side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.core.dataset import Dataset
from pipeline.core.errors import UsageError
from pipeline.text.batch import TextBatch
from tokenize_stage.config import UNKNOWN
from tokenize_stage.encode import choose_encoder
from tokenize_stage.vocabulary import load_tokenizer, special_ids, spellings

BATCH_ROWS = 500
RENYI_ALPHA = 2.5  # Zouhar et al. 2023, "Tokenization and the Noiseless Channel", the best predictor there
LISTED = 20
FEW_DOCUMENTS = 1


@dataclass
class _Sums:
    """Of the texts of a language or a host."""

    documents: int = 0
    bytes: int = 0
    words: int = 0
    tokens: int = 0
    unknown: int = 0

    def rates(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "bytes": self.bytes,
            "tokens": self.tokens,
            "bytes_per_token": self.bytes / max(self.tokens, 1),
            "tokens_per_word": self.tokens / max(self.words, 1),
            "unknown_share": self.unknown / max(self.tokens, 1),
        }


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


def evaluate(documents: Dataset, tokenizers: Sequence[Path], *, max_bytes: int = 50_000_000) -> dict[str, Any]:
    """Compare tokenizers on documents, evenly spread over the dataset.

    Args:
        tokenizers: tokenizer.json files.
        max_bytes: text to look at, about.

    Returns: {"documents", "bytes", "tokenizers": [...]}; of each tokenizer
        "name", "path", "model", "vocabulary", "engine";
        "bytes_per_token"; "tokens_per_word" (fertility, over words as signals count them);
        "unknown_share" of tokens, "unknown_bytes_share" of the text (for tokenizers with [UNK]);
        "unused": entries that never occur in these texts; "unreached": entries whose own text is encoded in another way, so
        that nothing but a special case can make them; "partial": entries that are no whole characters;
        "renyi_efficiency": Rényi entropy of order 2.5 of the tokens over log of the vocabulary (Zouhar et al. 2023);
        "glitch": entries that are likely to be hardly trained (Land and Bartolo 2024): unreached ones, and long ones that occur
        in one document only;
        "overlap": share of the entries that the first tokenizer has too (Jaccard);
        "megabytes_per_s": of encoding, CPU time; "languages", "hosts": the same rates for each, the largest first.
    Raises: UsageError if there is no text.
    """
    totals = documents.counts.get("text_bytes", 0)
    step = max(int(totals // max_bytes), 1)
    made: list[dict[str, Any]] = []
    first: set[bytes] = set()
    seen = _Sums()
    for path in tokenizers:
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
        first = first or spelt
        seen = tally.whole
        unreached = _unreached(encoder, words)
        found = {
            "name": path.stem if path.stem != "00000" else path.parent.parent.name,
            "path": str(path),
            "model": type(tokenizer.model).__name__,
            "vocabulary": len(words),
            "engine": encoder.name,
            **({"engine_note": why} if why else {}),
            **{k: v for k, v in tally.whole.rates().items() if k not in ("documents", "bytes")},
            "unknown_bytes_share": 1 - tally.known_bytes / max(tally.whole.bytes, 1),
            "unused": int(sum(tally.counts[i] == 0 for i in range(len(words)) if words[i])),
            "unreached": len(unreached),
            "partial": sum(not _is_text(w) for w in words),
            "renyi_efficiency": _renyi(tally.counts),
            "overlap": len(spelt & first) / len(spelt | first),
            "megabytes_per_s": tally.whole.bytes / 1e6 / max(tally.seconds, 1e-9),
            "glitch": _glitch(tally, words, unreached, special_ids(tokenizer)),
            "languages": _rows(tally.languages),
            "hosts": _rows(tally.hosts),
        }
        made.append(found)
    return {"documents": seen.documents, "bytes": seen.bytes, "tokenizers": made}


def _batches(documents: Dataset, step: int) -> Any:
    """(texts, their languages, their hosts), every `step`-th document."""
    at = 0
    for path in documents.files("data"):
        with pq.ParquetFile(path) as f:
            for batch in f.iter_batches(batch_size=BATCH_ROWS, columns=["text", "language", "host"]):
                rows = np.arange(-at % step, len(batch), step)
                at += len(batch)
                taken = batch.take(rows) if step > 1 else batch
                if len(taken):
                    lists = [[v or "" for v in taken.column(n).to_pylist()] for n in ("language", "host")]
                    yield TextBatch.of_column(taken.column("text")), *lists


def _measure(
    tally: _Tally,
    encoder: Any,
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


def _unreached(encoder: Any, words: list[bytes]) -> list[int]:
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


def _glitch(tally: _Tally, words: list[bytes], unreached: list[int], special: set[int]) -> list[dict[str, Any]]:
    rare = [
        i for i in range(len(words))
        if i not in special and len(words[i]) > 4 and 0 < tally.documents[i] <= FEW_DOCUMENTS
    ]  # fmt: skip
    rare.sort(key=lambda i: (-int(tally.counts[i]), i))
    listed = [(i, "unreached") for i in unreached[:LISTED]] + [(i, "one document") for i in rare[:LISTED]]
    return [
        {"id": i, "token": words[i].decode("utf-8", "backslashreplace"), "count": int(tally.counts[i]), "why": why}
        for i, why in listed
    ]


def _rows(sums: dict[str, _Sums]) -> list[dict[str, Any]]:
    ordered = sorted(sums.items(), key=lambda item: (-item[1].bytes, item[0]))
    return [{"name": name, **s.rates()} for name, s in ordered[:LISTED]]
