"""Who is dropped for whom: against a plain restatement, for any workers, memory and order of arrival; the index."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.documents import Doc
from pipeline.core.errors import RecipeError, StepError, UsageError
from pipeline.core.recipe import Recipe
from pipeline.core.registry import REGISTRY
from pipeline.curate.build import curation_of
from pipeline.curate.grow import grow_index
from pipeline.curate.step import curate
from pipeline.look.explain import explain
from pipeline.look.run import open_run, table_of
from pipeline.matching import decide, pairs
from pipeline.matching.builtin import jaccard, minhash, shingle_sets
from pipeline.matching.calibrate import calibrate
from pipeline.matching.forecast import forecast
from pipeline.matching.index import INDEX
from pipeline.matching.removal import remove_documents
from pipeline.run.limits import Limits
from pipeline.run.session import documents, load_recipe, open_bench
from tests.command import winnow
from tests.conftest import run, write_jsonl

pytestmark = pytest.mark.usefixtures("kernels")

PARAMS: dict[str, Any] = {"bands": 6, "rows_per_band": 2, "shingle_words": 2, "min_similarity": 0.5}
SETS = tuple(f"curate.minhash.{k}={v}" for k, v in PARAMS.items())
MINHASH = ('curate.gates=["minhash"]', "extract.shard_bytes=3000", *SETS)


def corpus(seed: int, documents: int, prefix: str = "d") -> list[dict[str, Any]]:
    """Texts in families: each is an earlier one with some words replaced, so that copies of copies drift apart."""
    rng = np.random.default_rng(seed)
    texts: list[list[str]] = []
    for i in range(documents):
        if i == 0 or rng.random() < 0.3:
            words = [f"w{x}" for x in rng.integers(0, 400, 30)]
        else:
            words = list(texts[rng.integers(0, i)])
            for place in rng.integers(0, 30, rng.integers(0, 6)):
                words[place] = f"w{rng.integers(0, 400)}"
        texts.append(words)
    return [
        {
            "url": f"http://{prefix}{i % 3}.test/{prefix}{i}",
            "text": " ".join(w),
            "date": f"20{rng.integers(10, 26)}-01-01",
        }
        for i, w in enumerate(texts)
    ]


def plain_drops(rows: list[dict[str, Any]], order: list[int]) -> dict[str, str]:
    """The rule, restated: in order, drop a document for one that is kept, if one of its candidates stands for a document
    that resembles it. Candidates: of each key, the first document that has it and the last one before this."""
    docs = [Doc(b"", rows[i]["text"]) for i in order]
    places, flat = minhash(docs, bands=PARAMS["bands"], rows_per_band=2, shingle_words=2)
    keys = defaultdict(list)
    for place, key in zip(places.tolist(), flat, strict=True):
        keys[bytes(key)].append(place)
    candidates: dict[int, set[int]] = defaultdict(set)
    for group in keys.values():
        for before, after in pairwise(group):
            candidates[after] |= {group[0], before}
    keeper = list(range(len(docs)))
    for d in range(len(docs)):
        scored = [(jaccard(docs[d], docs[k], shingle_words=2), -k) for k in {keeper[c] for c in candidates[d]}]
        best = max((s for s in scored if s[0] >= PARAMS["min_similarity"]), default=None)
        if best:
            keeper[d] = -best[1]
    return {rows[order[d]]["url"]: rows[order[k]]["url"] for d, k in enumerate(keeper) if k != d}


@dataclass
class Trials:
    """Runs curations over rows and gives the copies back as {dropped URL: kept URL}."""

    folder: Path
    count: int = 0

    @contextmanager
    def session(
        self, sets: tuple[str, ...] = (), workers: int = 1, memory: int | None = None, base: tuple[str, ...] = MINHASH
    ) -> Iterator[tuple[Recipe, Bench]]:
        self.count += 1
        root = self.folder / f"run{self.count}"
        with open_bench(root, Limits(workers), fixed={"curate": root / "curate"}) as bench:
            yield load_recipe(None, [*base, *sets]), replace(bench, memory=memory)

    def write(self, rows: list[dict[str, Any]], name: str) -> Path:
        return write_jsonl(self.folder / name / f"{name}.jsonl", rows)

    def curate(
        self,
        path: Path,
        sets: tuple[str, ...] = (),
        workers: int = 1,
        memory: int | None = None,
        base: tuple[str, ...] = MINHASH,
    ) -> Dataset:
        with self.session(sets, workers, memory, base) as (recipe, bench):
            return curate(curation_of(recipe), documents(recipe, bench, [path]), bench)

    def index(self, path: Path, out: Path) -> None:
        with self.session(BY_URL) as (recipe, bench):
            grow_index(out, curation_of(recipe), documents(recipe, bench, [path]), bench)


def drops_of(step: Dataset) -> dict[str, str]:
    url = {r["doc_id"]: r["url"] for r in table_of(step, "signals", ["doc_id", "url"]).to_pylist()}
    return {r["url"]: url.get(r["kept_doc_id"], "?") for r in table_of(step, "decisions").to_pylist()}


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return Trials(tmp_path)


BY_URL = ('curate.keep=["url"]', "curate.max_host_loss=1.0", "curate.max_source_loss=1.0")


@pytest.mark.parametrize("seed", range(6))
def test_drops_are_those_of_the_rule(seed: int, trials: Trials) -> None:
    rows = corpus(seed, 60)
    order = sorted(range(len(rows)), key=lambda i: rows[i]["url"])
    expected = plain_drops(rows, order)
    assert len(expected) > 8
    assert drops_of(trials.curate(trials.write(rows, "in"), BY_URL)) == expected


def test_result_is_the_same_for_any_ranges_buckets_memory_and_workers(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trials.write(corpus(11, 150), "in")
    whole = trials.curate(path)
    assert whole.counts["dropped"]["minhash"] > 40
    assert trials.curate(path, workers=3).file_hashes == whole.file_hashes
    monkeypatch.setattr(pairs, "RANGE_KEYS", 50)
    monkeypatch.setattr(pairs, "BUCKET_BYTES", 300)
    monkeypatch.setattr(decide, "IN_MEMORY", 0)
    cut = trials.curate(path, memory=64 << 20)
    work = next((trials.folder / f"run{trials.count}" / ".work").glob("minhash-pairs-*"))
    assert len(list((work / "pairs").iterdir())) > 8
    assert len(list(next(work.parent.glob("minhash-decisions-*")).glob("decisions/*"))) > 3
    assert not list(work.parent.rglob("*.sets"))
    assert cut.file_hashes == whole.file_hashes


@pytest.mark.parametrize("seed", range(5))
def test_a_new_crawl_against_an_index_is_as_everything_at_once(seed: int, trials: Trials) -> None:
    old, more, new = corpus(seed, 40, "a"), corpus(seed, 30, "b"), corpus(seed, 50, "c")
    scratch = drops_of(trials.curate(trials.write([*old, *more, *new], "all"), BY_URL))
    store = trials.folder / "index"
    trials.index(trials.write(old, "old"), store)
    trials.index(trials.write(more, "more"), store)
    step = trials.curate(trials.write(new, "new"), (*BY_URL, f'curate.index="{store}"'))
    mine = {u: k for u, k in scratch.items() if "//c" in u}
    assert len(mine) > 8
    assert sum("//c" not in k for k in mine.values()) > 2
    found = drops_of(step)
    assert found.keys() == mine.keys()
    assert {u: k for u, k in found.items() if k != "?"} == {u: k for u, k in mine.items() if "//c" in k}
    life = explain(open_run(step.dir), next(u for u, k in found.items() if k == "?"))
    assert mine[life.target] in life.verdict


def test_removed_documents_are_forgotten(trials: Trials) -> None:
    old, new = corpus(3, 40, "a"), corpus(3, 50, "c")
    kept_for = drops_of(trials.curate(trials.write([*old, *new], "all"), BY_URL))
    target = next(k for u, k in kept_for.items() if "//c" in u and "//a" in k)
    followers = {u for u, k in kept_for.items() if k == target and "//a" in u}
    rest = [r for r in old if r["url"] != target and r["url"] not in followers]
    expected = drops_of(trials.curate(trials.write([*rest, *new], "rest"), BY_URL))
    store = trials.folder / "index"
    trials.index(trials.write(old, "old"), store)
    with pytest.raises(UsageError, match="Nothing was removed"):
        remove_documents(store, [target, "http://never.test/"])
    assert remove_documents(store, [target]) == {"minhash": {"named": 1, "followers": len(followers)}}
    with pytest.raises(UsageError, match="not in this index"):
        remove_documents(store, [target])
    step = trials.curate(trials.write(new, "new"), (*BY_URL, f'curate.index="{store}"'))
    assert drops_of(step).keys() == {u for u in expected if "//c" in u}
    assert target.encode() not in b"".join(p.read_bytes() for p in store.rglob("*") if p.is_file())


def test_an_index_says_what_does_not_fit(trials: Trials) -> None:
    rows = corpus(1, 20, "a")
    path, store = trials.write(rows, "old"), trials.folder / "index"
    with pytest.raises(RecipeError, match="no index here"):
        trials.curate(path, (f'curate.index="{store}"',))
    trials.index(path, store)
    again = write_jsonl(trials.folder / "again" / path.name, [*rows, *corpus(2, 1, "b")])
    with pytest.raises(StepError, match="20 of these documents are in the index already"):
        trials.index(again, store)
    with pytest.raises(RecipeError, match=r"another 'minhash': bands 6 \(here 7\)"):
        trials.curate(path, (f'curate.index="{store}"', "curate.minhash.bands=7"))
    listed = json.loads((store / INDEX).read_text())
    (store / INDEX).write_text(json.dumps({**listed, "format": 99}))
    with pytest.raises(RecipeError, match="format 99"):
        trials.curate(path, (f'curate.index="{store}"',))


def test_an_excerpt_is_a_copy_where_containment_says_so(trials: Trials) -> None:
    words = [f"w{i}" for i in range(200)]
    rows = [
        {"url": "http://a.test/whole", "text": " ".join(words)},
        {"url": "http://a.test/part", "text": " ".join(words[:60])},
    ]
    path = trials.write(rows, "in")
    loose = ("curate.minhash.bands=64", "curate.minhash.rows_per_band=1", 'curate.keep=["-text_bytes"]')
    assert drops_of(trials.curate(path, loose)) == {}
    step = trials.curate(path, (*loose, "curate.minhash.min_containment=0.9"))
    assert drops_of(step) == {"http://a.test/part": "http://a.test/whole"}
    row = table_of(step, "decisions").to_pylist()[0]
    assert row["similarity"] == pytest.approx(59 / 199)
    assert row["note"] == "100.0% of it is in the one kept"
    shorter_first = ('curate.keep=["text_bytes"]', *loose[:2], "curate.minhash.min_containment=0.9")
    assert drops_of(trials.curate(path, shorter_first)) == {}


def test_the_best_copy_is_the_one_that_keep_names(trials: Trials) -> None:
    text = " ".join(f"w{i}" for i in range(40))
    rows = [
        {"url": "http://mirror.test/1", "text": text, "date": "2024-01-01"},
        {"url": "http://wiki.test/1", "text": text, "date": "2025-01-01"},
        {"url": "http://news.test/1", "text": text, "date": "2026-01-01"},
        {"url": "http://other.test/1", "text": text},
    ]
    path = trials.write(rows, "in")

    def kept(*sets: str) -> set[str]:
        return set(drops_of(trials.curate(path, sets)).values())

    assert kept('curate.keep=["-date"]') == {"http://news.test/1"}
    assert kept('curate.keep=["date"]') == {"http://mirror.test/1"}
    by_source = 'curate.keep=["source_priority", "date"]'
    assert kept(by_source, 'curate.source_priority=["wiki.*", "news.*"]') == {"http://wiki.test/1"}
    assert kept(by_source, 'curate.source_priority=["nobody.*"]') == {"http://mirror.test/1"}


def test_an_input_file_that_is_all_copies_stops_the_run(tmp_path: Path) -> None:
    texts = [" ".join(f"w{i}x{j}" for j in range(30)) for i in range(120)]
    for name in ("a", "b"):
        rows = [{"url": f"http://{name}{i}.test/", "text": t} for i, t in enumerate(texts)]
        write_jsonl(tmp_path / "in" / f"{name}.jsonl", rows)
    recipe = tmp_path / "r.toml"
    recipe.write_text('name = "r"\n[extract]\ninputs = ["in"]\n[curate]\ngates = ["exact"]\nkeep = ["source"]\n')
    with pytest.raises(Exception, match=r"an input file's documents: .*b\.jsonl: 120 of 120 .*max_source_loss=1\.0"):
        run(recipe, tmp_path / "runs", last="curate")
    done = run(recipe, tmp_path / "runs", last="curate", sets=("curate.max_source_loss=1.0",)).need("curate")
    assert done.counts["rows_out"] == 120


PLUGIN = """
from pipeline.core.registry import match

def ratio(a, b, **_):
    one, two = set(a.text.split()), set(b.text.split())
    return len(one & two) / len(one | two)

@match("first_word", similarity=ratio, reason="same_words")
def first_word(doc, *, min_similarity: float = 0.6):
    yield doc.text.split()[0].encode()
"""


def test_a_plug_in_compares_documents_itself_also_with_an_index(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(REGISTRY, "matches", dict(REGISTRY.matches))  # the plug-in goes with the test
    plugin = trials.folder / "plug.py"
    plugin.write_text(PLUGIN)
    sets = (f'plugins=["{plugin}"]', 'curate.gates=["first_word"]', 'curate.keep=["url"]')
    texts = ["a b c d", "a b c e", "a x y z", "a b c d e"]
    rows = [{"url": f"http://h.test/{i}", "text": t} for i, t in enumerate(texts)]
    assert drops_of(trials.curate(trials.write(rows, "in"), base=sets)) == {
        "http://h.test/1": "http://h.test/0",
        "http://h.test/3": "http://h.test/0",
    }
    store = trials.folder / "index"
    with trials.session(base=sets) as (recipe, bench):
        grow_index(store, curation_of(recipe), documents(recipe, bench, [trials.write(rows[:1], "old")]), bench)
    step = trials.curate(trials.write(rows[1:], "new"), (f'curate.index="{store}"',), base=sets)
    assert drops_of(step) == {"http://h.test/1": "?", "http://h.test/3": "?"}


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_shared_text_stays_once(unit: str, tmp_path: Path) -> None:
    gap = "\n" if unit == "line" else "\n\n"
    notice = "This notice is long enough to be sure that nobody wrote it twice by chance."
    rows = [
        {
            "url": f"http://h{i % 2}.test/{i}",
            "text": gap.join([f"Head {i} of its own, which nobody else has.", notice, f"Tail {i}"]),
        }
        for i in range(6)
    ]
    rows.append({"url": "http://h9.test/9", "text": f"{notice}{gap}{notice}"})
    write_jsonl(tmp_path / "in.jsonl", rows)
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "r"\n[extract]\ninputs = ["in.jsonl"]\nshard_bytes = 300\n[curate]\ngates = ["shared_text"]\n'
    )
    by_url = ('curate.keep=["url"]', f'curate.shared_text.unit="{unit}"')
    texts = _texts(run(recipe, tmp_path / "runs", last="curate", sets=by_url).need("curate"))
    assert [u for u, t in texts.items() if notice in t] == ["http://h0.test/0"]
    assert all(f"Tail {i}" in texts[f"http://h{i % 2}.test/{i}"] for i in range(6))
    assert "http://h9.test/9" not in texts  # nothing was left of it
    last = run(recipe, tmp_path / "runs", last="curate", sets=('curate.keep=["-url"]', by_url[1])).need("curate")
    assert [u for u, t in _texts(last).items() if notice in t] == ["http://h9.test/9"]
    hosts = run(recipe, tmp_path / "runs", last="curate", sets=(*by_url, 'curate.shared_text.scope="host"')).need(
        "curate"
    )
    assert sorted(u for u, t in _texts(hosts).items() if notice in t) == [
        "http://h0.test/0",
        "http://h1.test/1",
        "http://h9.test/9",
    ]


def _texts(step: Dataset) -> dict[str, str]:
    return {r["url"]: r["text"] for r in table_of(step, "data", ["url", "text"]).to_pylist()}


def test_forecast_counts_keys_and_bytes_as_they_come_out(trials: Trials) -> None:
    path = trials.write(corpus(2, 200), "in")
    with trials.session() as (recipe, bench):
        read = documents(recipe, bench, [path])
        told = forecast(curation_of(recipe).matches, read, 2)
        curate(curation_of(recipe), read, bench)
    assert told.documents == 200
    assert told.matches[0].keys == 200 * PARAMS["bands"]
    work = trials.folder / f"run{trials.count}" / ".work"
    keys = sum(p.stat().st_size for p in work.glob("pass1-*/keys/*"))
    low, high = told.disk_bytes
    assert low < high
    assert keys == pytest.approx(200 * PARAMS["bands"] * 12, rel=3)  # small files are mostly headers
    assert 0 <= told.seconds.least <= told.seconds.most


def test_calibration_measures_pairs_that_are_there(trials: Trials) -> None:
    rng = np.random.default_rng(5)
    rows = []
    for i in range(120):
        words = [f"w{x}" for x in rng.integers(0, 10**6, 100)]
        rows.append({"text": " ".join(words)})
        for place in rng.integers(0, 100, 4 if i < 60 else 30):
            words[place] = "z"
        rows.append({"text": " ".join(words)})
    with trials.session(("curate.minhash.shingle_words=1",)) as (recipe, bench):
        found = calibrate(curation_of(recipe).matches, documents(recipe, bench, [trials.write(rows, "in")]))
    assert found.documents == 240
    assert found.copies >= 100
    now = found.bands[0]
    assert (now.bands, now.rows_per_band, now.now) == (6, 2, True)
    for row in found.bands:
        assert row.recall == pytest.approx(row.expected_recall, abs=0.12)
    strict = next(r for r in found.bands if (r.bands, r.rows_per_band) == (14, 8))
    assert strict.precision is not None
    assert now.precision is not None
    assert strict.precision >= now.precision
    assert "bands" in found.advice


def test_commands(trials: Trials) -> None:
    old, new = corpus(1, 40, "a"), corpus(1, 40, "c")
    one, two, store = trials.write(old, "old"), trials.write(new, "new"), trials.folder / "index"
    sets = [w for s in SETS for w in ("--set", s)]
    done = winnow("dedup", "index", one, "--out", store, *sets)
    assert done.returncode == 0, done.stderr
    assert "minhash: " in done.stdout
    assert sorted(p.name for p in store.iterdir() if p.name.startswith(".")) == []
    out = trials.folder / "out"
    done = winnow("dedup", two, "--out", out, "--index", store, "--workers", 1, "--max-memory", "1GiB", *sets)
    assert done.returncode == 0, done.stderr
    assert "forecast" in done.stderr
    shown = winnow("dedup", "forecast", two)
    assert [w in shown.stdout for w in ("exact", "minhash", "memory")] == [True] * 3, shown.stderr
    shown = winnow("dedup", "calibrate", two, *sets)
    assert [w in shown.stdout for w in ("6 x 2", "<- now")] == [True] * 2, shown.stderr
    assert "1 removed" in winnow("dedup", "remove", store, old[0]["url"]).stdout
    small = winnow("dedup", two, "--out", out, "--max-memory", "100M")
    assert (small.returncode, "at least 900 MiB" in small.stderr) == (2, True)
    assert winnow("dedup", two, "--out", out, "--max-memory", "lots").returncode == 2


def test_sets_do_not_depend_on_the_batch() -> None:
    docs = [Doc(b"", t) for t in ("a b c d", "", "x", "a b c d e f g")]
    together = shingle_sets(docs, shingle_words=3)
    for i, doc in enumerate(docs):
        _, alone = shingle_sets([doc], shingle_words=3)
        assert together[1][together[0][i] : together[0][i + 1]].tolist() == alone.tolist()
