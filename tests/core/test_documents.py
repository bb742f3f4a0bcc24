"""Documents together: read where they lie, views that follow the text, one buffer for all who ask."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.core.documents import FACTS, Doc, Documents, docs_of, texts_of


def table(texts: list[str]) -> pa.Table:
    ids = pa.array([i.to_bytes(16, "big") for i in range(len(texts))], pa.binary(16))
    return pa.table({"doc_id": ids, "text": texts, "url": [f"http://h.test/{i}" for i in range(len(texts))]})


def test_fields_come_from_the_table_and_can_be_replaced() -> None:
    doc = docs_of(table(["a b", "c"]))[1]
    assert (doc.url, doc.host, doc.rights, doc.language, doc.source_offset) == ("http://h.test/1", "", (), None, 0)
    doc.language = "en"
    assert doc.language == "en"
    assert doc.with_text("x").language == "en"


def test_views_follow_the_text() -> None:
    doc = docs_of(table(["One two\n\nthree"]))[0]
    assert (doc.words, doc.paragraphs, doc.text_bytes) == (["One", "two", "three"], ["One two", "three"], 14)
    doc.text = "four é"
    assert (doc.words, doc.lower_words, doc.lines, doc.text_bytes) == (["four", "é"], ["four", "é"], ["four é"], 7)


def test_a_document_has_no_other_facts() -> None:
    with pytest.raises(TypeError, match="a document has no 'colour'"):
        Doc(b"0" * 16, "x", colour="red")
    assert {f: getattr(Doc(b"0" * 16, "x"), f) for f in FACTS if f not in ("url", "host", "source", "rights")} == (
        dict.fromkeys([f for f in FACTS if f not in ("url", "host", "source", "rights")], None) | {"source_offset": 0}
    )


def test_texts_of_the_same_documents_are_one_buffer() -> None:
    docs = docs_of(table(["a", "b", "c", "d"]))
    assert texts_of(docs) is texts_of(docs)
    assert texts_of(docs[1:3]).data.tobytes() == b"bc"
    assert texts_of(Documents([docs[3], docs[0]])).data.tobytes() == b"da"
    docs[2].text = "new"
    assert texts_of(Documents(docs)).data.tobytes() == b"abnewd"
    assert texts_of([]).data.tobytes() == b""
