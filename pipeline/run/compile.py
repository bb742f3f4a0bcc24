"""Compiles all kernels ahead of the first run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.curate.build import curation_of
from pipeline.curate.compile import compile_kernels as compile_curation
from pipeline.curate.step import curate
from pipeline.extract.fast.engine import compile_kernels as compile_extractor
from pipeline.run.session import documents, load_recipe, open_bench
from pipeline.text.kernels.compiled import remove_old_caches
from tokenize_stage.bpe import train_tokenizer
from tokenize_stage.shards import tokenize
from tokenize_stage.vocabulary import tokenizer_file

GATES = ["exact_substrings", "exact", "minhash"]  # together they group documents in every way there is
TEXT = "Some words that stand twice in one text, and in another one too.\n"
SETS = [
    f"curate.gates={json.dumps(GATES)}",
    "curate.exact_substrings.min_tokens=200",
    "tokenize.vocab_size=300",
    "tokenize.validation_fraction=0.5",
    "tokenize.row_tokens=16",
]


def compile_all() -> None:
    """Fill the cache of compiled kernels; what is there already is not compiled again."""
    remove_old_caches()
    compile_extractor()
    compile_curation()
    # the whole way with some texts, for the kernels of grouping and tokens
    rows = [{"text": " ".join(f"word{n}x{i}" for i in range(40)) + TEXT} for n in [*range(40), 0]]
    recipe = load_recipe(None, SETS)
    with TemporaryDirectory(prefix="winnow-") as name:
        few = Path(name) / "few.jsonl"
        few.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with open_bench(Path(name) / "out") as bench:
            kept = curate(curation_of(recipe), documents(recipe, bench, [few]), bench)
            config = recipe.section("tokenize")
            made = train_tokenizer(config, kept, bench)
            tokenize(config, kept, tokenizer_file(made), bench)
