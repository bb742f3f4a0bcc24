"""What a user meets: messages for bad recipes and inputs, exit codes, JSON, and the looking commands."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError, WinnowError
from pipeline.look.explain import explain
from pipeline.look.inspect import inspect
from pipeline.look.run import Run
from pipeline.look.stats import histogram
from pipeline.look.whatif import whatif
from pipeline.report.build import write_report
from tests.conftest import article, run, write_jsonl, write_recipe


def winnow(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[crawl]\nseeds = []\n", "nothing to read: give crawl.seeds, or extract.inputs"),
        ("[crwl]\n", "no section 'crwl'. Did you mean 'crawl'?"),
        (
            "[curate.minhash]\nrow_per_band = 4\n",
            "no parameter 'row_per_band'. Did you mean 'rows_per_band'? It takes: bands,",
        ),
        ("[curate.minhash]\nbands = 'many'\n", "curate.minhash.bands: expected a whole number, got 'many'"),
        ("[curate]\ngates = ['gopher_qualty']\n", "no gate 'gopher_qualty'. Did you mean 'gopher_quality'?"),
        ("[curate]\ngates = ['language']\n", "'language' needs a language"),
        ("[curate]\ngates = ['pii:x']\n", "'pii' takes nothing after a colon"),
        ("[curate.gopher_quality.too_few_word]\nmin = 3\n", "no rule 'too_few_word'. Did you mean 'too_few_words'?"),
        ("[tokenize]\nsplit_by = 'hosts'\n", "'hosts' is not one of 'document', 'host'. Did you mean 'host'?"),
        ("[tokenize]\nvocab_size = 3\n", "tokenize.vocab_size: 3 is below 257"),
        ("[train]\npreset = 'huge'\n", "no preset 'huge'"),
        ("[extract]\ninputs = ['nowhere/*.jsonl']\n", "no file matches"),
        ("[extract]\ninputs = ['recipe.toml']\n", "unknown kind of input"),
        ("[crawl]\nseeds = ['not a url']\n", "neither an http(s) URL nor a file"),
        ("[signals.toxic_word_frac]\nwords = 'toxic_xx'\n", "Did you mean 'toxic_en'?"),
        ("[curate]\nkeep = ['lenght']\n", "no field or signal 'lenght'"),
        ("oops = \n", "Invalid value (at line 2"),
    ],
)
def test_bad_recipe_ends_in_one_clear_line(body: str, message: str, tmp_path: Path) -> None:
    done = winnow("run", write_recipe(tmp_path, body), "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert message in done.stderr
    assert any(place in done.stderr for place in ("recipe.toml", "crawl.seeds", "nowhere"))
    assert "Traceback" not in done.stderr


def test_bad_set_and_missing_recipe(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "")
    assert "write it as section.name=value" in winnow("run", recipe, "--set", "curate").stderr
    assert "no such recipe" in winnow("run", tmp_path / "absent.toml").stderr


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "pyarrow", "scrapy", "trafilatura", "duckdb", "numpy", "tokenizers", "fasttext"}


def test_explain_knows_the_fate_of_each_kind_of_page(finished: Run) -> None:
    def verdict(url: str) -> str:
        return str(explain(finished, url)["verdict"])

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
    life = explain(finished, "http://german.test/1")["documents"][0]
    checks = {(c["gate"], c["reason"]): c for c in life["checks"]}
    assert checks["language", "wrong_language"]["passed"] is False
    assert checks["language", "wrong_language"]["value"] == "de"
    assert checks["gopher_quality", "too_few_words"]["passed"] is True
    assert checks["gopher_quality", "too_few_words"]["min"] == 50


def test_explain_shows_edits_and_never_the_secret(finished: Run) -> None:
    life = explain(finished, "http://pii.test/1")["documents"][0]
    assert [e["kind"] for e in life["edits"]] == ["email", "ip"]
    assert "<EMAIL> or to <IP>" in life["text"]
    for path in finished.need("curate").dir.rglob("*.parquet"):
        assert b"jane.doe" not in path.read_bytes()


def test_explain_finds_the_tokens_again(finished: Run) -> None:
    from tests.tokenize_stage.test_tokens import decode_rows

    url = "http://keep1.test/1"
    life = explain(finished, url)["documents"][0]
    assert decode_rows(finished, life["tokens"]) == life["text"] + "<|endoftext|>"


def test_unknown_url_names_close_ones(finished: Run) -> None:
    with pytest.raises(UsageError, match=r"never met it\. Close to it: .*http://keep0\.test/0"):
        explain(finished, "http://keep0.test/00")


def test_whatif_agrees_with_a_rerun(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "t.jsonl", [{"url": f"http://a.test/{n}", "text": article(n, 20 + 4 * n)} for n in range(20)]
    )
    recipe = write_recipe(
        tmp_path, '[extract]\ninputs = ["t.jsonl"]\n[curate]\ngates = ["language:en", "gopher_quality"]\n'
    )
    first = run(recipe, tmp_path / "runs")
    change = "gopher_quality.too_few_words.min=80"
    asked = whatif(first, [change])
    again = run(recipe, tmp_path / "runs", sets=(f"curate.{change}",))
    assert asked["kept_before"][0] == first.need("curate").counts["rows_out"]
    assert asked["kept_after"][0] == again.need("curate").counts["rows_out"]
    assert asked["lost"]["documents"] > 0


def test_whatif_names_its_mistakes(finished: Run) -> None:
    with pytest.raises(WinnowError, match="Did you mean 'gopher_quality'"):
        whatif(finished, ["gopher_qualiti.too_few_words.min=3"])
    with pytest.raises(WinnowError, match="Did you mean 'too_few_words'"):
        whatif(finished, ["gopher_quality.too_few_wrds.min=3"])


def test_commands_print_json(finished: Run) -> None:
    for words in (
        ("stats", finished.root),
        ("stats", finished.root, "--signal", "word_count"),
        ("explain", finished.root, "http://keep0.test/0"),
        ("whatif", finished.root, "--set", "toxicity.too_many_toxic_words.max=1"),
        ("verify", finished.root),
        ("inspect", finished.need("tokenize").files("train")[0]),
        ("inspect", finished.root),
    ):
        plain, as_json = winnow(*words), winnow(*words, "--json")
        assert plain.returncode == as_json.returncode == 0, plain.stderr + as_json.stderr
        assert plain.stdout
        json.loads(as_json.stdout)


def test_histogram_counts_every_document(finished: Run) -> None:
    found = histogram(finished, "word_count")
    assert sum(found["kept"]) == finished.need("curate").counts["rows_out"]
    assert sum(found["kept"]) + sum(found["dropped"]) == finished.need("curate").counts["rows_in"]
    assert {v["name"] for v in histogram(finished, "language")["values"]} >= {"en", "de"}


def test_inspect_decodes_token_rows(finished: Run) -> None:
    found = inspect(finished.need("tokenize").files("train")[0], rows=2)
    assert found["kind"] == "tokens"
    assert "".join(found["rows"][0]["documents"][0]["pieces"]).strip()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


def test_report_shows_hostile_text_as_text(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script><img src=x onerror="alert(2)"> </style></pre> '
    rows = [{"url": f"http://evil.test/{hostile}{i}", "title": hostile, "text": hostile + article(i)} for i in range(4)]
    rows.append({"url": "http://evil.test/short", "text": hostile})
    write_jsonl(tmp_path / "t.jsonl", rows)
    recipe = write_recipe(tmp_path, '[extract]\ninputs = ["t.jsonl"]\n[curate]\ngates = ["gopher_quality"]\n')
    found = run(recipe, tmp_path / "runs")
    page = write_report(found.root, tmp_path / "r.html").read_text("utf-8")
    parser = _Tags()
    parser.feed(page)
    tags = {t for t, _ in parser.tags}
    assert not tags & {"script", "img", "iframe", "object", "link"}
    assert not [a for _, attrs in parser.tags for a, _ in attrs if a.startswith("on") or a in ("src", "href")]
    assert "&lt;script&gt;alert(1)" in page


def test_report_has_every_part(finished: Run) -> None:
    page = (finished.root / "report.html").read_text("utf-8")
    for part in ("Funnel", "Why documents were dropped", "Distributions", "Hosts and languages", "Kept: samples",
                 "Dropped: samples", "Tokens", "Loss", "bits per byte", "http://toxic.test/1"):  # fmt: skip
        assert part in page


def test_layers_import_only_downwards() -> None:
    top = Path(__file__).parents[2]
    upper = {"pipeline.cli", "pipeline.report", "pipeline.look"}
    for package in ("crawler", "pipeline", "tokenize_stage", "train"):
        for path in (top / package).rglob("*.py"):
            module = ".".join(path.relative_to(top).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                named += [a.name for a in node.names] if isinstance(node, ast.Import) else []
                for name in named:
                    ours = name.split(".")[0] in ("crawler", "pipeline", "tokenize_stage", "train")
                    if not ours or any(module.startswith(u) for u in upper):
                        continue
                    allowed = name == "pipeline" or name.startswith("pipeline.core") or name.startswith(package)
                    allowed |= package == "train" and name.startswith("tokenize_stage")
                    if module.startswith("pipeline.core"):
                        allowed = name == "pipeline" or name.startswith("pipeline.core")
                    allowed &= not any(name.startswith(u) for u in upper)
                    assert allowed, f"{module} imports {name}"
