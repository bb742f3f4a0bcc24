"""`[tokenize]` as a stage of a run: the tokenizer, then the token shards."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.recipe import Recipe
from tokenize_stage.bpe import given_tokenizer, train_tokenizer
from tokenize_stage.config import TokenizeConfig
from tokenize_stage.shards import tokenize
from tokenize_stage.vocabulary import tokenizer_file


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Makes the results "tokenizer" and "tokenize" from the result "curate"."""
    config: TokenizeConfig = recipe.section("tokenize")
    documents = done["curate"]
    tokenizer = train_tokenizer(config, documents, bench, base=recipe.base)
    return {"tokenizer": tokenizer, "tokenize": tokenize(config, documents, tokenizer_file(tokenizer), bench)}


def check(recipe: Recipe) -> None:
    """A tokenizer that is not there is found before anything runs. Raises: UsageError."""
    config: TokenizeConfig = recipe.section("tokenize")
    if config.tokenizer:
        given_tokenizer(config, recipe.base)
