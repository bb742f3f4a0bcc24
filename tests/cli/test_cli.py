"""What a user meets: messages for bad recipes and inputs, exit codes, JSON, and what commands import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.look.run import Run
from tests.command import winnow
from tests.conftest import write_recipe


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
