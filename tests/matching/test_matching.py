"""Near copies: shingle sets, signatures and bands against plain Python and datasketch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.documents import Doc, docs_of, texts_of
from pipeline.core.errors import RecipeError, StepError
from pipeline.look.run import table_of
from pipeline.matching.builtin import chosen_bands, jaccard, minhash, permutations, shingle_sets, simhash, url
from pipeline.text.batch import words_of
from pipeline.text.simhash import MAX_DISTANCE, block_keys, near
from pipeline.text.simhash import simhash as simhash_of
from tests.conftest import article, run, write_jsonl

pytestmark = pytest.mark.usefixtures("kernels")

WORDS = st.lists(st.sampled_from(["a", "b", "C", "déjà", "日本", "x-y", "1"]), max_size=30).map(" ".join)


def doc(text: str) -> Doc:
    return Doc(b"0" * 16, text)


def plain_shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = [w.lower() for w in words_of(text)]
    if len(words) <= size:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


@settings(max_examples=150, deadline=None)
@given(WORDS, WORDS, st.integers(1, 6))
def test_similarity_is_that_of_the_shingle_sets(one: str, two: str, size: int) -> None:
    a, b = plain_shingles(one, size), plain_shingles(two, size)
    expected = len(a & b) / len(a | b) if a | b else 0.0
    assert jaccard(doc(one), doc(two), shingle_words=size) == pytest.approx(expected)
    offsets, _ = shingle_sets([doc(one), doc(two)], shingle_words=size)
    assert np.diff(offsets).tolist() == [len(a), len(b)]


def test_documents_of_a_table_are_read_where_they_lie_unless_changed() -> None:
    table = pa.table({"doc_id": [b"0" * 16] * 3, "text": ["a b", "c é", "d"], "url": ["u", None, "w"]})
    docs = docs_of(table.slice(1))
    assert [d.text_bytes for d in docs] == [4, 1]
    assert texts_of(docs).data.tobytes() == "c éd".encode()
    assert [(d.url, d.text, d.language) for d in docs] == [("", "c é", None), ("w", "d", None)]
    assert texts_of(docs).data.tobytes() == "c éd".encode()
    other = copy.copy(docs[0])
    other.text = "new"
    assert (other.text_bytes, texts_of([other, docs[1]]).data.tobytes()) == (3, b"newd")
    docs[1].text = "changed"
    assert texts_of([docs[1], docs[0]]).data.tobytes() == "changedc é".encode()
    assert docs[0].with_text("x").text_bytes == 1
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = docs[0].colour  # type: ignore[attr-defined]


def keys_of(texts: list[str], **params: Any) -> list[set[bytes]]:
    places, flat = minhash([doc(t) for t in texts], **params)
    return [{bytes(k) for k in flat[places == i]} for i in range(len(texts))]


def pair(rng: np.random.Generator, shared: int, own: int) -> tuple[str, str]:
    """Two texts of one-word shingles with Jaccard similarity shared / (shared + 2 * own)."""
    words = [f"w{i}" for i in rng.choice(10**9, shared + 2 * own, replace=False)]
    return " ".join(words[: shared + own]), " ".join(words[:shared] + words[shared + own :])


@pytest.mark.parametrize(("shared", "own"), [(190, 5), (90, 5), (80, 10), (70, 15), (50, 25)])
def test_bands_meet_as_often_as_theory_and_datasketch_say(shared: int, own: int) -> None:
    similarity = shared / (shared + 2 * own)
    theory = 1 - (1 - similarity**8) ** 14
    rng = np.random.default_rng(7)
    pairs = [pair(rng, shared, own) for _ in range(300)]
    keys = keys_of([t for p in pairs for t in p], shingle_words=1)
    met = float(np.mean([bool(keys[2 * i] & keys[2 * i + 1]) for i in range(len(pairs))]))
    reference = []
    for one, two in pairs[:100]:
        sketches = []
        for text in (one, two):
            sketch = MinHash(num_perm=112, seed=1)
            sketch.update_batch([w.encode() for w in text.split()])
            sketches.append(sketch.hashvalues.reshape(14, 8))
        reference.append(bool((sketches[0] == sketches[1]).all(axis=1).any()))
    error = 3.5 * np.sqrt(theory * (1 - theory) / len(pairs)) + 0.01
    assert met == pytest.approx(theory, abs=error)
    assert met == pytest.approx(float(np.mean(reference)), abs=2.5 * error + 0.02)


def test_keys_depend_on_words_alone() -> None:
    text = "The quick brown fox jumps over the lazy dog and runs far away from here."
    same, shouted, other, empty = keys_of([text, text.upper().replace(" ", "  "), text[:-5] + "there.", "..."])
    assert same == shouted
    assert same != other
    assert empty == set()
    assert keys_of([other_text := "x " * 3, text])[1] == same, other_text
    assert keys_of([text], seed=2)[0].isdisjoint(same)


def test_bands_follow_a_threshold() -> None:
    for threshold in (0.5, 0.7, 0.9):
        bands, rows = chosen_bands(threshold, 112)
        assert bands * rows <= 112
        assert abs((1 / bands) ** (1 / rows) - threshold) < 0.12
    assert len(keys_of(["a b c d e f"], threshold=0.9)[0]) == chosen_bands(0.9, 112)[0]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 63), max_size=MAX_DISTANCE))
def test_values_a_few_bits_apart_share_a_block_key(value: int, flipped: list[int]) -> None:
    other = value
    for bit in flipped:
        other ^= 1 << bit
    one, two = block_keys(np.array([value, other], np.uint64))
    assert any((a == b).all() for a, b in zip(one, two, strict=True))
    assert near(other, [value ^ 0xFFFF, value])
    assert not near(value ^ 0xFFFF, [value])


def test_simhash_finds_near_copies_and_verifies_them() -> None:
    rng = np.random.default_rng(3)
    words = [f"w{i}" for i in rng.integers(0, 10**6, 600)]
    text, changed = " ".join(words), " ".join([*words[:599], "other"])
    assert bin(simhash_of(text) ^ simhash_of(changed)).count("1") <= MAX_DISTANCE
    assert bin(simhash_of(text) ^ simhash_of(" ".join(reversed(words)))).count("1") > 2 * MAX_DISTANCE
    places, flat = simhash([doc(text), doc(""), doc(changed)])
    assert {bytes(k) for k in flat[places == 0]} & {bytes(k) for k in flat[places == 2]}
    assert not (places == 1).any()


def test_permutations_are_permutations() -> None:
    factors, addends = permutations(112, 1)
    assert (factors % 2 == 1).all()
    assert len(set(factors.tolist())) == len(set(addends.tolist())) == 112


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("http://www.a.example/x/?b=2&a=1&utm_source=q#top", "https://A.example/x?a=1&b=2", True),
        ("https://a.example/", "http://a.example", True),
        ("https://a.example/caf%C3%A9", "https://a.example/café", True),
        ("https://a.example/x?p=1", "https://a.example/x?p=2", False),
        ("https://a.example/X", "https://a.example/x", False),
        ("https://[broken/x", "https://[broken/y", False),
    ],
)
def test_addresses_of_one_page_are_one_key(one: str, two: str, same: bool) -> None:
    keys = [list(url(Doc(b"0" * 16, "text", url=u))) for u in (one, two)]
    assert (keys[0] == keys[1]) is same
    assert list(url(doc("no address"))) == []


def test_a_match_that_empties_a_host_stops_and_goes_on_when_told(tmp_path: Path) -> None:
    rows = [{"url": f"http://first.test/{i}", "text": article(i)} for i in range(30)]
    rows += [{"url": f"http://mirror.test/{i}", "text": article(i % 30)} for i in range(110)]
    write_jsonl(tmp_path / "in.jsonl", rows)
    recipe = tmp_path / "r.toml"
    text = 'name = "r"\n[extract]\ninputs = ["in.jsonl"]\n[curate]\ngates = ["exact"]\nkeep = ["url"]\n'
    recipe.write_text(text)
    with pytest.raises(StepError, match=r"mirror\.test: 110 of 110 .*a copy of http://first\.test/\d+") as error:
        run(recipe, tmp_path / "runs", last="curate")
    assert "curate.max_host_loss=1.0" in str(error.value)
    done = run(recipe, tmp_path / "runs", last="curate", sets=("curate.max_host_loss=1.0",))
    assert done.need("curate").counts["rows_out"] == 30
    assert {d["host"] for d in table_of(done.need("curate"), "decisions").to_pylist()} == {"mirror.test"}
    with pytest.raises(RecipeError, match="max_host_loss"):
        run(recipe, tmp_path / "runs", last="curate", sets=("curate.max_host_loss=0",))


def test_lines_of_many_documents_go_whatever_their_hosts(tmp_path: Path) -> None:
    notice = "Subscribe to our weekly letter and never miss a story."
    rows = [
        {"url": f"http://h{i}.test/", "text": f"{article(i)}\n{notice if i < 7 else 'Read on.'}\nRead on."}
        for i in range(12)
    ]
    write_jsonl(tmp_path / "in.jsonl", rows)
    recipe = tmp_path / "r.toml"
    recipe.write_text('name = "r"\n[extract]\ninputs = ["in.jsonl"]\n[curate]\ngates = ["repeated_lines"]\n')
    done = run(recipe, tmp_path / "runs", last="curate").need("curate")
    texts = {r["url"]: r["text"] for r in table_of(done, "data").to_pylist()}
    assert not any(notice in t for t in texts.values())
    assert all("Read on." in t for t in texts.values())  # too short to be sure
    assert done.counts["edits"] == {"repeated_line": 7}
    kept = run(recipe, tmp_path / "runs", last="curate", sets=("curate.repeated_lines.min_documents=8",)).need("curate")
    assert kept.counts["edits"] == {}
