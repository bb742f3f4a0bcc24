"""The life of a URL: every fate, the values against their bounds, edits, and the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from crawler.fetch_log import FETCH_LOG
from pipeline.core.answers import as_json
from pipeline.core.errors import UsageError
from pipeline.core.schema import DECISION, DOCUMENT, EDIT
from pipeline.look.explain import TokenPlace, explain
from pipeline.look.rows import Decision, Edit, Facts, Fetch
from pipeline.look.run import Run
from tests.conftest import article, html, run, write_recipe
from tests.ingest.archives import Made, fields_of, response
from tokenize_stage.vocabulary import load_tokenizer, tokenizer_file


def test_explain_knows_the_fate_of_each_kind_of_page(finished: Run) -> None:
    def verdict(url: str) -> str:
        return explain(finished, url).verdict

    assert verdict("http://keep0.test/0").startswith("in the data: ")
    assert verdict("http://short.test/1") == "dropped by gopher_quality: too_few_words"
    assert verdict("http://german.test/1").startswith("dropped by language: wrong_language")
    assert verdict("http://toxic.test/1") == "dropped by toxicity: too_many_toxic_words"
    assert verdict("http://spam.test/1").startswith("dropped by gopher_repetition: ")
    assert verdict("http://empty.test/1") == "dropped by ingest: empty_text"
    copies = [v for u in ("http://exact.test/1", "http://keep0.test/3") if "exact_copy" in (v := verdict(u))]
    assert len(copies) == 1
    assert "(1.000)" in copies[0]
    near = [v for u in ("http://near.test/1", "http://keep2.test/5") if "near_copy" in (v := verdict(u))]
    assert len(near) == 1


def test_explain_shows_values_against_bounds_even_behind_the_dropping_gate(finished: Run) -> None:
    life = explain(finished, "http://german.test/1").documents[0]
    assert life.checks is not None
    checks = {(c.gate, c.reason): c for c in life.checks}
    assert checks["language", "wrong_language"].passed is False
    assert checks["language", "wrong_language"].value == "de"
    assert checks["gopher_quality", "too_few_words"].passed is True
    assert checks["gopher_quality", "too_few_words"].min == 50


def test_explain_shows_edits_and_never_the_secret(finished: Run) -> None:
    life = explain(finished, "http://pii.test/1").documents[0]
    assert [e.kind for e in life.edits or ()] == ["email", "ip"]
    assert "<EMAIL> or to <IP>" in (life.text or "")
    for path in finished.need("curate").dir.rglob("*.parquet"):
        assert b"jane.doe" not in path.read_bytes()


def decode_rows(run: Run, rows: Sequence[TokenPlace]) -> str:
    """Text of a document, put together from the token rows that `explain` names."""
    step = run.need("tokenize")
    ids: list[int] = []
    for r in rows:
        table = pq.read_table(step.dir / r.split / f"{r.shard:05d}.parquet")
        ids += np.frombuffer(table["tokens"][r.row].as_py(), "<u2")[r.start : r.end].tolist()
    text: str = load_tokenizer(tokenizer_file(run.need("tokenizer"))).decode(ids, skip_special_tokens=False)
    return text


def test_explain_finds_the_tokens_again(finished: Run) -> None:
    url = "http://keep1.test/1"
    life = explain(finished, url).documents[0]
    assert decode_rows(finished, life.tokens or ()) == f"{life.text}<|endoftext|>"


def test_unknown_url_names_close_ones(finished: Run) -> None:
    with pytest.raises(UsageError, match=r"never met it\. Close to it: .*http://keep0\.test/0"):
        explain(finished, "http://keep0.test/00")


def test_rows_have_the_fields_of_the_tables(finished: Run) -> None:
    def names(kind: type[Fetch | Facts | Decision | Edit]) -> list[str]:
        return [f.name for f in fields(kind)]

    shown_apart = ("doc_id", "text", "language", "language_score")
    assert names(Fetch) == [*FETCH_LOG.names, "shard"]
    assert names(Facts) == [*(n for n in DOCUMENT.names if n not in shown_apart), "shard"]
    assert names(Decision) == [*DECISION.names, "shard", "kept_url"]
    assert names(Edit) == [*EDIT.names, "shard"]
    (extracted,) = explain(Run(finished.root, {"extract": finished.need("extract")}), "http://keep0.test/0").documents
    found = as_json(extracted)
    assert isinstance(found, dict)
    assert [*found] == ["doc_id", "document", "text", "extract"]  # what the run cannot tell is left out


def test_a_revisit_names_the_capture_that_has_its_content(tmp_path: Path) -> None:
    def revisit(number: int, original: int) -> Made:
        named = f"<urn:uuid:00000000-0000-4000-8000-{original:012d}>"
        return Made(b"", fields_of(number, "revisit", "application/http") | {"WARC-Refers-To": named})

    (tmp_path / "in").mkdir()
    records = [response(0, html(article(1))), revisit(1, 0), revisit(2, 7)]
    (tmp_path / "in" / "a.warc").write_bytes(b"".join(r.bytes() for r in records))
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["in"]\n[curate]\ngates = []\n')
    made = run(recipe, tmp_path / "runs", last="extract")
    (found,) = explain(made, "http://a.test/1").documents[0].extract or ()
    assert (found.reasons, found.kept_url) == (("revisit",), "http://a.test/0")
    (lost,) = explain(made, "http://a.test/2").documents[0].extract or ()
    assert (lost.kept_doc_id, lost.kept_url) == (None, None)
    assert "not among the inputs" in (lost.note or "")
