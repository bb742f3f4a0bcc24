"""Exact substrings: against a brute-force search over token tuples, and what must hold of the texts that are left."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.dataset import Dataset
from pipeline.look.run import table_of
from pipeline.matching import pairs
from pipeline.matching.kernels.windows import repeated_windows
from pipeline.text.batch import TextBatch
from pipeline.text.kernels.grams import window_hashes
from tests.conftest import run, write_jsonl

pytestmark = pytest.mark.usefixtures("kernels")

TOKEN = re.compile(r"\w+|[^\w\s]")


def curate(folder: Path, rows: list[dict[str, Any]], size: int, *more: str, workers: int = 1) -> Dataset:
    write_jsonl(folder / "in.jsonl", rows)
    (folder / "r.toml").write_text(
        'name = "r"\n[extract]\ninputs = ["in.jsonl"]\nshard_bytes = 2000\n'
        f'[curate]\ngates = ["exact_substrings"]\nkeep = ["url"]\n[curate.exact_substrings]\nmin_tokens = {size}\n'
    )
    return run(folder / "r.toml", folder / "runs", last="curate", sets=more, workers=workers).need("curate")


def texts_of(step: Dataset) -> dict[str, str]:
    return {r["url"]: r["text"] for r in table_of(step, "data", ["url", "text"]).to_pylist()}


def brute_force(rows: list[dict[str, Any]], size: int) -> dict[str, list[str]]:
    """The tokens that stay: those in no window that occurs earlier, and those in the first window of a kind."""
    ordered = sorted(rows, key=lambda r: r["url"])
    tokens = {r["url"]: TOKEN.findall(r["text"]) for r in ordered}
    places = defaultdict(list)
    for url, words in tokens.items():
        for i in range(len(words) - size + 1):
            places[tuple(words[i : i + size])].append((url, i))
    again: dict[str, set[int]] = defaultdict(set)
    first: dict[str, set[int]] = defaultdict(set)
    for found in places.values():
        if len(found) > 1:
            first[found[0][0]].update(range(found[0][1], found[0][1] + size))
            for url, i in found[1:]:
                again[url].update(range(i, i + size))
    return {u: [w for i, w in enumerate(words) if i not in again[u] or i in first[u]] for u, words in tokens.items()}


def passages(seed: int) -> list[dict[str, Any]]:
    """Texts that quote one another, with marks, capitals, odd white space and characters of several bytes."""
    rng = np.random.default_rng(seed)
    words = ["déjà", "Vu", "na", "naïve", "x", "y", "z", "don't", "日", "本", "(a)", "b,", "…", "w1", "w2", "w3"]
    quotes = [rng.choice(words, rng.integers(4, 14)).tolist() for _ in range(6)]
    rows = []
    for i in range(25):
        parts: list[str] = []
        for _ in range(rng.integers(1, 6)):
            parts += rng.choice(words, rng.integers(0, 6)).tolist()
            if rng.random() < 0.7:
                parts += quotes[rng.integers(0, len(quotes))]
        if i % 7 == 0:
            parts += ["ha"] * 12
        gaps = rng.choice([" ", "  ", "\n", "\n\n", "\u3000"], len(parts))
        rows.append(
            {"url": f"http://h.test/{i:03d}", "text": "".join(p + g for p, g in zip(parts, gaps, strict=True)) or "x"}
        )
    return rows


@pytest.mark.parametrize(("seed", "size"), [(1, 4), (2, 5), (3, 3), (4, 8), (5, 1)])
def test_what_stays_is_what_brute_force_keeps(seed: int, size: int, tmp_path: Path) -> None:
    rows = passages(seed)
    expected = brute_force(rows, size)
    assert sum(map(len, expected.values())) < sum(len(TOKEN.findall(r["text"])) for r in rows)
    found = texts_of(curate(tmp_path, rows, size))
    for url, words in expected.items():
        assert TOKEN.findall(found.get(url, "")) == words


@pytest.mark.parametrize("seed", [6, 7])
def test_one_copy_of_everything_that_was_repeated_stays_whole(seed: int, tmp_path: Path) -> None:
    def windows(texts: list[str]) -> Counter[tuple[str, ...]]:
        tokens = [TOKEN.findall(t) for t in texts]
        return Counter(tuple(t[i : i + 4]) for t in tokens for i in range(len(t) - 3))

    rows = passages(seed)
    repeated = {w for w, n in windows([r["text"] for r in rows]).items() if n > 1}
    assert len(repeated) > 20
    assert repeated <= windows(list(texts_of(curate(tmp_path, rows, 4)).values())).keys()


def test_same_result_for_any_workers_and_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = passages(8)
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    whole = curate(tmp_path / "a", rows, 4)
    assert curate(tmp_path / "b", rows, 4, workers=2).file_hashes == whole.file_hashes
    monkeypatch.setattr(pairs, "RANGE_KEYS", 100)
    assert curate(tmp_path / "c", rows, 4).file_hashes == whole.file_hashes
    assert whole.counts["edits"]["substring"] > 10


def test_spans_are_on_record_and_end_at_characters(tmp_path: Path) -> None:
    quote = "Ein wörtliches Zitat über Füße, Äpfel und süße Öfen."
    rows = [
        {"url": "http://h.test/1", "text": f"Anfang eins. {quote} Schluss eins."},
        {"url": "http://h.test/2", "text": f"Beginn zwei!\n{quote}\nEnde zwei."},
        {"url": "http://h.test/3", "text": quote},
    ]
    step = curate(tmp_path, rows, 8)
    assert texts_of(step) == {"http://h.test/1": rows[0]["text"], "http://h.test/2": "Beginn zwei!\nEnde zwei."}
    spans = {bytes(e["doc_id"]): (e["start"], e["end"]) for e in table_of(step, "edits").to_pylist()}
    assert sorted(rows[1]["text"][a:b] for a, b in spans.values() if b - a > len(quote)) == [quote + "\n"]
    assert [d["reasons"] for d in table_of(step, "decisions").to_pylist()] == [["nothing_left"]]


def test_scripts_without_spaces_count_words(tmp_path: Path) -> None:
    shared = "今日は天気がとても良いので、公園へ散歩に行きました。"
    rows = [
        {"url": f"http://h.test/{i}", "text": head + shared}
        for i, head in enumerate(("朝ご飯を食べた！", "本を読んだ。"))
    ]
    found = texts_of(curate(tmp_path, rows, 8))
    assert found == {"http://h.test/0": rows[0]["text"], "http://h.test/1": "本を読んだ。"}


def test_windows_that_agree_in_64_bits_only_are_different() -> None:
    high = np.array([5, 5, 5, 5, 9], np.uint64)
    more = np.array([1, 2, 1, 3, 1], np.uint32)
    place, first = repeated_windows(high, more, np.array([4, 0, 2, 1, 0], np.uint32), np.zeros(5, np.int32))
    assert dict(zip(place.tolist(), first.tolist(), strict=True)) == {0: False, 2: True}


def test_hashes_of_windows_are_those_of_their_tokens() -> None:
    tokens = TextBatch(["a b c d a b c", "x", "b c d a"]).pieces
    text, at, high, more = window_hashes(tokens.first, tokens.hashes, 3)
    assert list(zip(text.tolist(), at.tolist(), strict=True)) == [(0, i) for i in range(5)] + [(2, 0), (2, 1)]
    assert high[0] == high[4]
    assert more[0] == more[4]
    assert high[1] == high[5]
    assert len(set(high.tolist())) == len(set(more.tolist())) == 4
