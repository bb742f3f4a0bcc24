"""Every benchmark runs: each on a small input, to its last line, with rates and ratios that are numbers."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import made

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NUMBER = r"([\d,]*\.?\d+)"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return made.text_rows(tmp_path / "texts.jsonl.gz")


def run(script: str, *words: object) -> str:
    """What a benchmark prints; it has to end well."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern: str, printed: str) -> list[float]:
    """The numbers of the one line that a pattern finds."""
    found = re.findall(pattern, printed, re.MULTILINE)
    assert len(found) == 1, f"{pattern}\n{printed}"
    return [float(n.replace(",", "")) for n in ((found[0],) if isinstance(found[0], str) else found[0])]


def missing(module: str) -> bool:
    return importlib.util.find_spec(module) is None


def test_every_benchmark_is_run_here() -> None:
    scripts = {p.name for p in BENCHMARKS.glob("*.py") if "ArgumentParser" in p.read_text("utf-8")}
    tested = set(re.findall(r'run\(\s*"(\w+\.py)"', Path(__file__).read_text("utf-8")))
    assert scripts == tested


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("given", [True, False])
def test_pipeline_speed(given: bool, texts: Path) -> None:
    printed = run("pipeline_speed.py", *([texts] if given else []), "--documents", 40, "--runs", 1)
    assert ("demo's garden" in printed) != given
    assert printed.count("docs/s") == 7 + (not missing("datatrove"))
    for line in (
        "signals: gopher quality",
        "signals: language",
        "signals: toxicity",
        "edit: pii",
        "match: exact",
        "match: minhash",
    ):
        assert min(numbers(rf"^{line}[^\d]*(?:lid\.176\))? +{NUMBER} docs/s +{NUMBER} MB/s$", printed)) > 0
    assert (
        min(
            numbers(rf"datasketch: minhash keys \(SHA-1\) +{NUMBER} docs/s +{NUMBER} MB/s   winnow {NUMBER} x", printed)
        )
        > 0
    )
    assert ("datatrove: missing, not installed" in printed) == missing("datatrove")


def test_what_is_labelled_datasketch_is_datasketch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import sketches
    from datasketch import MinHash

    words = made.TEXTS[0].lower().split()
    own = MinHash(num_perm=sketches.BANDS * sketches.ROWS, seed=1)
    for i in range(len(words) - 4):
        own.update(" ".join(words[i : i + 5]).encode())
    places, keys = sketches.datasketch(made.TEXTS[:1])
    assert places.tolist() == [0] * sketches.BANDS
    assert b"".join(k[1:] for k in keys) == own.hashvalues.tobytes()


@pytest.mark.usefixtures("kernels")
def test_dedup(texts: Path, tmp_path: Path) -> None:
    peer = made.stand_in(tmp_path / "peer", made.DEDUP_PEER)
    printed = run(
        "dedup.py", texts, "--documents", 120, "--words", 150, "--peer-documents", 48, "--runs", 1, "--text-dedup", peer,
        "--datatrove", sys.executable,
    )  # fmt: skip
    signatures, whole = printed.split("end to end")
    recall = r" ".join([r"[01]\.\d\d"] * 6)
    for tool, module in (
        ("winnow", ""),
        ("datasketch SHA-1", ""),
        ("datasketch xxh32", "xxhash"),
        ("rensa", "rensa"),
        ("daft", "daft"),
    ):
        if module and missing(module):
            assert f"{module}: missing, not installed" in printed
        else:
            assert min(numbers(rf"^{tool} +{NUMBER} +{NUMBER} +{NUMBER}   {recall} +\d+$", signatures)[:2]) > 0
    assert min(numbers(rf"^winnow +{NUMBER} +{NUMBER} +1\.0   1\.00 1\.00 [^\n]*$", whole)) > 0
    assert numbers(rf"^text-dedup 0\.0 +{NUMBER} +{NUMBER} +[\d.]+   0\.00 [^\n]* {NUMBER}$", whole)[2] == 1
    assert len(re.findall("^datatrove-(?:regex|stock)", whole, re.MULTILINE)) == 2


@pytest.mark.usefixtures("kernels")
def test_kills() -> None:
    """What is promised of kills, a few times; more of them by hand."""
    kills = int(os.environ.get("WINNOW_KILLS", "1"))
    printed = run("kills.py", "--kills", kills, "--stages", "extract", "--seed", 3)
    for mode in ("group", "parent", "worker"):
        found = numbers(rf"^extract +{mode} +{NUMBER} +\d+ +{NUMBER} +{NUMBER} +{NUMBER} +[\d.]+$", printed)
        assert found == [kills, kills, kills, 0]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("given", [True, False])
def test_filters(given: bool, texts: Path, tmp_path: Path) -> None:
    side = ["--side-python", made.stand_in(tmp_path / "peer", made.FILTERS_PEER)] if given else []
    printed = run("filters.py", texts, "--limit", 40, "--stock", 10, "--runs", 1, *side)
    ratio = r"[\d.]+" if given else "-"
    for line in (
        "winnow, datatrove's signals",
        "winnow, its own signals",
        "winnow on the first texts",
        "winnow, Cyrillic e",
    ):
        assert min(numbers(rf"^{line} +{NUMBER} +{ratio} +{ratio}$", printed)) > 0
    assert ("datatrove: missing" in printed) != given
    if given:
        assert numbers(rf"^datatrove, stock +{NUMBER} +1\.0 +{NUMBER}$", printed)[0] == 20
        assert numbers(rf"^datatrove, regex splitter +{NUMBER} +{NUMBER} +1\.0$", printed)[0] == 80


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("given", [True, False])
def test_parity(given: bool, texts: Path, tmp_path: Path) -> None:
    side = ["--side-python", made.stand_in(tmp_path / "peer", made.FILTERS_PEER)] if given else []
    printed = run("parity.py", texts, "--limit", 20, *side)
    assert ("datatrove: missing" in printed) != given
    for name in ("gopher_repetition", "gopher_quality", "c4", "c4_full", "fineweb", "chain"):
        tail = rf" +{NUMBER} +{NUMBER}% +{NUMBER}%" if given else ""
        assert numbers(rf"^{name} +{NUMBER}{tail}$", printed)[0] <= 20
    assert ("texts kept by both" in printed) == given


@pytest.mark.usefixtures("kernels")
def test_langid(texts: Path, tmp_path: Path) -> None:
    rows = made.sentences(tmp_path / "sentences.jsonl")
    printed = run("langid.py", rows, "--texts", texts)
    for name in ("full texts", "sentences"):
        line = (
            rf"^{name} .* winnow +{NUMBER} MB/s +fasttext +{NUMBER} MB/s +{NUMBER} x +labels equal {NUMBER}/{NUMBER} "
        )
        *rates, same, of = numbers(line, printed)
        assert min(rates) > 0
        assert same == of
    assert numbers(rf"^accuracy over 2 languages that the model has: {NUMBER}", printed)[0] > 0.5


@pytest.mark.usefixtures("kernels")
def test_extraction(tmp_path: Path) -> None:
    peer = made.stand_in(tmp_path / "peer", made.EXTRACTION_PEER)
    printed = run("extraction.py", made.labelled_pages(tmp_path / "pages"), "--speed-pages", 3, "--side-python", peer)
    assert numbers(rf"^  rs-trafilatura +{NUMBER}   winnow fast is {NUMBER} times as fast$", printed)[0] == 100
    for name in ("winnow fast", "trafilatura fast", "trafilatura"):
        assert min(numbers(rf"^  {name} +{NUMBER}   winnow fast is {NUMBER} times as fast$", printed)[:1]) > 0
    assert ("resiliparse: missing" in printed) == missing("resiliparse")


def test_extraction_languages(tmp_path: Path) -> None:
    printed = run("extraction_languages.py", made.pages(tmp_path / "pages"), "english=en/*", "german=de/*")
    for name, count in (("english", 3), ("german", 1)):
        pages, *shares = numbers(rf"^{name} +{NUMBER} +{NUMBER} +{NUMBER} +{NUMBER}$", printed)
        assert pages == count
        assert all(0 < s <= 1 for s in shares)


def test_charsets(tmp_path: Path) -> None:
    printed = run("charsets.py", made.charsets(tmp_path / "charsets"))
    assert "left out  no-such/page.txt" in printed
    assert "3 of 3 files (100.0%) decode to the right text" in printed


@pytest.mark.usefixtures("kernels")
def test_grouping() -> None:
    printed = run("grouping.py", "--documents", 3_000, "--workers", 1)
    for title in ("no limit", "2GiB"):
        line = rf"^{title} +1 workers +{NUMBER} documents/s .* peak {NUMBER} MiB, largest worker .* {NUMBER} copies$"
        rate, peak, copies = numbers(line, printed)
        assert rate > 0
        assert peak > 0
        assert copies == (3_000 - 1_800) / 5  # every fifth of the documents from three fifths on is one
    assert numbers(rf"^same files: True; with the limit at {NUMBER}% of the rate without$", printed)[0] > 0


@pytest.mark.usefixtures("kernels")
def test_substrings(texts: Path) -> None:
    printed = run("substrings.py", texts, "--megabytes", 0.5)
    assert min(numbers(rf"^{NUMBER} MB/s of CPU", printed)) > 0
    assert min(numbers(rf"^peak memory {NUMBER} MiB, working files {NUMBER} MB", printed)) > 0
    once, quotes = numbers(rf"^quotes of which exactly one whole copy is left: {NUMBER} of {NUMBER}$", printed)
    assert once == quotes == 2


@pytest.mark.usefixtures("kernels")
def test_tokens(tmp_path: Path) -> None:
    table = made.text_table(tmp_path / "texts.parquet")
    printed = run("tokens.py", table, "--vocab", 300, "--runs", 1, "--validation", 0.2)
    assert printed.count("same vocabulary: True, merges in the same order") == 2
    assert min(numbers(rf"^  winnow, to shards +{NUMBER} MB/s", printed)) > 0
    assert min(numbers(rf"^  winnow, ids alone +{NUMBER} MB/s; {NUMBER} once", printed)) > 0
    ratios = numbers(
        rf"^  tokenizers [\d.]+ +{NUMBER} MB/s   winnow to shards {NUMBER} x, ids alone {NUMBER} x; ids equal: True$",
        printed,
    )
    assert ratios[0] > 0
    for how in ("best_fit", "concat", "pad"):
        padding, _ = numbers(rf"^  {how} .*padding {NUMBER}% +{NUMBER} M pieces/s$", printed)
        assert 0 <= padding < 100
    for name in ("winnow", "numpy memmap", "Parquet list column"):
        assert min(numbers(rf"^  {name} +{NUMBER} bytes/token +{NUMBER} +{NUMBER} M tokens/s", printed)) > 0
    for module, package in (
        ("rustbpe", "rustbpe"), ("gigatoken", "gigatoken"), ("tiktoken", "tiktoken"), ("fastokens", "fastokens"),
        ("litdata", "litdata"), ("streaming", "mosaicml-streaming"),
    ):  # fmt: skip
        assert (f"{package}: missing, not installed" in printed) == missing(module)


@pytest.mark.usefixtures("kernels")
def test_whatif() -> None:
    printed = run("whatif.py", "--rows", 2_000)
    for changes in (1, 3):
        assert numbers(rf"^whatif with {changes} changes: {NUMBER} s; gained {NUMBER}, lost {NUMBER}$", printed)[0] > 0
    assert numbers(rf"^stats --rules: {NUMBER} s$", printed)[0] > 0


@pytest.mark.usefixtures("kernels")
def test_safety(tmp_path: Path) -> None:
    printed = run("safety.py", made.labelled_texts(tmp_path / "data"))
    for model in ("toxicity_en", "hate_en"):
        assert numbers(rf"^{model}: {NUMBER} bytes, other than the model that ships$", printed)[0] > 0
    aucs = re.findall(rf"^  held-out tenth: AUC {NUMBER} ", printed, re.MULTILINE)
    assert len(aucs) == 2
    assert min(map(float, aucs)) > 0.9
    for kind in ("email", "ip"):
        assert numbers(rf"^  {kind} +1  recall {NUMBER}  precision {NUMBER}$", printed) == [1.0, 1.0]
    for form in ("verbatim", "re-cased", "re-punctuated"):
        assert numbers(rf"^  planted {form} +found {NUMBER}%$", printed) == [100.0]


@pytest.mark.usefixtures("kernels")
def test_hostile(tmp_path: Path) -> None:
    """One attack of each kind: none stops a run or costs a good neighbour."""
    printed = run("hostile.py", "--trials", 25, "--seed", 4, "--keep", tmp_path)
    kinds = re.findall(rf"^(\S.*?) +{NUMBER} +{NUMBER}(?: +{NUMBER} s)?$", printed, re.MULTILINE)
    assert len(kinds) == 26
    assert [k for k in kinds if k[1] != k[2]] == []
    assert list(tmp_path.iterdir()) == []
