"""The whole life of a URL: fetched or not and why, extracted or not, every signal against its bound, edits, copies,
and the rows of the token shards that hold it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from crawler.links import forms_of
from pipeline.core.answers import ABSENT
from pipeline.core.dataset import Dataset
from pipeline.core.errors import UsageError
from pipeline.core.schema import DOC_ID
from pipeline.look.addresses import spellings_in
from pipeline.look.revisits import resolved
from pipeline.look.rows import Decision, Edit, Facts, Fetch, decision_of, of_row
from pipeline.look.run import Run, rows_where, rules_of, table_of
from tokenize_stage.config import SPLITS
from tokenize_stage.reader import parts_of_row

COMPARED_URLS, COMPARED_CHARS = 50_000, 1_000  # for "close to it": more, or longer ones, take too long to compare
_DOC_ID = re.compile(r"<?(?:urn:uuid:)?([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})>?", re.I)


@dataclass(frozen=True)
class Check:
    """A rule of the run and what it saw of a document; bounds are those for the document's language, inclusive.

    Attributes:
        passed: None where nothing was measured.
    """

    gate: str
    reason: str
    signal: str
    value: float | str | None
    min: float | None
    max: float | None
    one_of: tuple[str, ...] | str | None
    passed: bool | None


@dataclass(frozen=True)
class Replaced:
    """A copy that was dropped in favour of the document."""

    url: str | None
    similarity: float | None
    gate: str


@dataclass(frozen=True)
class TokenPlace:
    """Tokens [start, end) of a row of a token shard hold the document from its token `first_token` on."""

    split: str
    shard: int
    row: int
    start: int
    end: int
    first_token: int


@dataclass(frozen=True)
class Life:
    """What became of one capture. A field is None where the run has no step that could tell.

    Attributes:
        doc_id: 32 hex digits.
        document, text: as extracted; the text as curated, where the document was kept.
        extract, curate: the decisions that dropped it there; none if it went through.
        checks: every rule of the run, also those behind the gate that dropped it.
        kept: whether it is in the curated data. copies: what was dropped for it.
        tokens: where it lies in the token shards, from its first token on.
    """

    doc_id: str
    document: Facts | None = field(default=None, metadata=ABSENT)
    text: str | None = field(default=None, metadata=ABSENT)
    extract: tuple[Decision, ...] | None = field(default=None, metadata=ABSENT)
    curate: tuple[Decision, ...] | None = field(default=None, metadata=ABSENT)
    checks: tuple[Check, ...] | None = field(default=None, metadata=ABSENT)
    edits: tuple[Edit, ...] | None = field(default=None, metadata=ABSENT)
    kept: bool | None = field(default=None, metadata=ABSENT)
    copies: tuple[Replaced, ...] | None = field(default=None, metadata=ABSENT)
    tokens: tuple[TokenPlace, ...] | None = field(default=None, metadata=ABSENT)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of extraction, then those of curation."""
        return (*(self.extract or ()), *(self.curate or ()))


@dataclass(frozen=True)
class Explanation:
    """Everything that a run knows about a URL or a document.

    Attributes:
        fetch: None where the run did not crawl, or never met it there. documents: one for each capture.
        verdict: one sentence.
    """

    target: str
    fetch: Fetch | None
    documents: tuple[Life, ...]
    verdict: str


def explain(run: Run, target: str) -> Explanation:
    """Everything the run knows about a URL, in any spelling, or a doc_id (32 hex digits, or a UUID).

    Raises: UsageError if the run never met it; names similar URLs.
    """
    doc_id = _doc_id(target)
    forms = forms_of(target)  # as it stands in a page, and as the crawl wrote it down
    fetch = None if doc_id else _fetch(run, forms)
    found = [doc_id] if doc_id else _captures(run, forms, any_scheme=fetch is None)
    if fetch is not None and not found:
        found = _captures(run, [fetch.url], any_scheme=False)
    documents = tuple(life for d in found if _is_known(life := _life(run, d)))
    if fetch is None and not documents:
        raise UsageError(f"{target}: this run never met it.{_similar(run, target)}")
    return Explanation(target, fetch, documents, _verdict(fetch, documents))


def _doc_id(target: str) -> bytes | None:
    """The identity that a target writes in hex digits; None if it is an address."""
    found = _DOC_ID.fullmatch(target.strip())
    return bytes.fromhex(found[1].replace("-", "")) if found else None


def _is_known(life: Life) -> bool:
    """Whether any table has a row of it."""
    return bool(life.document or life.extract or life.curate or life.kept or life.text)


def _fetch(run: Run, forms: Sequence[str]) -> Fetch | None:
    """The row of the fetch log, of the closest spelling that it has."""
    crawl = run.get("crawl")
    if crawl is None:
        return None
    for url in spellings_in(table_of(crawl, "fetch", ["url"])["url"], forms, any_scheme=True):
        for row in rows_where(crawl, "fetch", "url", url):
            return of_row(Fetch, row)
    return None


def _captures(run: Run, forms: Sequence[str], *, any_scheme: bool) -> list[bytes]:
    """The documents of the closest spelling that data and decisions have."""
    tables = [(step, folder) for s in ("extract", "curate") if (step := run.get(s)) for folder in ("data", "decisions")]
    urls = pa.chunked_array(
        [chunk for step, folder in tables for chunk in table_of(step, folder, ["url"])["url"].chunks], pa.string()
    )
    for url in spellings_in(urls, forms, any_scheme=any_scheme):
        found = [r["doc_id"] for step, folder in tables for r in rows_where(step, folder, "url", url, ["doc_id"])]
        return list(dict.fromkeys(found))
    return []


def _life(run: Run, doc_id: bytes) -> Life:
    key = pa.scalar(doc_id, DOC_ID)
    extract, curate, tokens = run.get("extract"), run.get("curate"), run.get("tokenize")
    facts = rows_where(extract, "data", "doc_id", key) if extract else []
    kept = rows_where(curate, "data", "doc_id", key) if curate else []
    found = kept or facts
    return Life(
        doc_id.hex(),
        document=of_row(Facts, facts[0]) if facts else None,
        text=found[0]["text"] if found else None,
        extract=tuple(resolved(run, extract, key, d) for d in _decisions(extract, key)) if extract else None,
        curate=_decisions(curate, key, curate) if curate else None,
        checks=_checks(curate, key) if curate else None,
        edits=tuple(of_row(Edit, r) for r in rows_where(curate, "edits", "doc_id", key)) if curate else None,
        kept=bool(kept) if curate else None,
        copies=_copies(curate, key) if curate and kept else None,
        tokens=token_rows(tokens, doc_id) if tokens and kept else None,
    )


def _decisions(step: Dataset, key: pa.Scalar, curate: Dataset | None = None) -> tuple[Decision, ...]:
    """The decisions on a document, with the address of the one kept in its place where a curate step is given."""
    found = []
    for row in rows_where(step, "decisions", "doc_id", key):
        copied = row["kept_doc_id"] if curate else None
        found.append(decision_of(row, address_of(curate, copied) if curate and copied else None))
    return tuple(found)


def _copies(curate: Dataset, key: pa.Scalar) -> tuple[Replaced, ...]:
    rows = rows_where(curate, "decisions", "kept_doc_id", key)
    return tuple(Replaced(r["url"], r["similarity"], r["gate"]) for r in rows)


def address_of(curate: Dataset, doc_id: bytes) -> str | None:
    """The URL of a document of the run, or of the index that it was matched with, as long as that is there."""
    rows = rows_where(curate, "signals", "doc_id", pa.scalar(doc_id, DOC_ID), ["url"])
    if rows and rows[0]["url"]:
        return str(rows[0]["url"])
    index = curate.manifest.get("index", "")
    if not index:
        return None
    from pipeline.matching.index import url_in_index

    return url_in_index(Path(index), doc_id)


def _checks(curate: Dataset, key: pa.Scalar) -> tuple[Check, ...]:
    """Every rule with the measured value, also for gates behind the one that dropped the document."""
    rows = rows_where(curate, "signals", "doc_id", key)
    if not rows:
        return ()
    signals = rows[0]
    language = signals.get("language")
    checks = []
    for gate, rules in rules_of(curate):
        for rule in rules:
            value = signals.get(rule.signal)
            low, high = rule.bounds(language)
            passed = None if value is None else rule.passes(value, language)
            checks.append(Check(gate, rule.reason, rule.signal, value, low, high, rule.one_of, passed))
    return tuple(checks)


def token_rows(tokens: Dataset, doc_id: bytes) -> tuple[TokenPlace, ...]:
    """Where a document lies in the token shards, from its first token on."""
    found = []
    for split in SPLITS:
        for file in tokens.every(split):
            columns = ["doc_ids", "doc_starts", "doc_tokens", "n_tokens"]
            table = pads.dataset(file.path).to_table(columns=columns)
            flat = table.column("doc_ids").combine_chunks()
            parents = pc.list_parent_indices(flat)
            hit = pc.equal(flat.flatten(), pa.scalar(doc_id, DOC_ID))
            for row in dict.fromkeys(parents.filter(hit).to_pylist()):
                for part in parts_of_row(table.slice(row, 1).to_pylist()[0]):
                    if part["doc_id"] == doc_id:
                        place = (part["start"], part["end"], part["first_token"])
                        found.append(TokenPlace(split, file.shard, row, *place))
    return tuple(sorted(found, key=lambda r: (r.first_token, r.shard, r.row, r.start)))


def _similar(run: Run, target: str) -> str:
    urls: set[str] = set()
    for stage, folder in (("crawl", "fetch"), ("extract", "data"), ("extract", "decisions")):
        urls.update(u for u in table_of(run.get(stage), folder, ["url"])["url"].to_pylist() if u)
    if len(target) > COMPARED_CHARS or len(urls) > COMPARED_URLS:
        return ""
    close = difflib.get_close_matches(target, [u for u in urls if len(u) <= COMPARED_CHARS], n=3, cutoff=0.7)
    return f" Close to it: {', '.join(close)}." if close else ""


def _verdict(fetch: Fetch | None, documents: Sequence[Life]) -> str:
    for life in documents:
        if life.kept:
            if life.tokens:
                n = sum(r.end - r.start for r in life.tokens)
                return f"in the data: {n:,} tokens in {len(life.tokens)} rows of the {life.tokens[0].split} split"
            return "in the curated data"
    for life in documents:
        for d in (*(life.curate or ()), *(life.extract or ())):
            kept = f" of {d.kept_url} ({d.similarity or 0:.3f})" if d.kept_url else ""
            note = f" ({d.note})" if d.note else ""
            return f"dropped by {d.gate}: {', '.join(d.reasons)}{kept}{note}"
        if life.document:
            return "extracted, not curated yet"
    assert fetch is not None
    note = f" ({fetch.note})" if fetch.note else ""
    return f"not in the data: {fetch.outcome}{note}"
