"""A stage as somebody would add it: its section, its check, its step. docs/architecture.md shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pyarrow.parquet as pq

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.errors import RecipeError
from pipeline.core.files import write_json
from pipeline.core.recipe import Recipe
from pipeline.core.step import ShardResult, Task

VERSION = 1


@dataclass(frozen=True)
class EvaluateConfig:
    """`[evaluate]`: how often words occur in the documents.

    Attributes:
        words: that are counted, as they are written.
    """

    words: list[str] = field(default_factory=list)


def check(recipe: Recipe) -> None:
    """Raises: RecipeError if there is nothing to count."""
    if not recipe.section("evaluate").words:
        raise RecipeError(f"{recipe.origin}: evaluate.words: name at least one.")


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """`[evaluate]` makes the result "evaluate" from the result "extract"."""
    config: EvaluateConfig = recipe.section("evaluate")
    documents = done["extract"]
    tasks = [Task(i, {"data": (documents.shard("data", i),)}, config) for i in documents.shards()]
    return {"evaluate": bench.step("evaluate", asdict(config), VERSION, [documents], tasks, count_words)}


def count_words(task: Task[EvaluateConfig]) -> ShardResult:
    """Occurrences of each word in the documents of one shard."""
    texts = pq.read_table(task.one("data").path, columns=["text"])["text"].to_pylist()
    found = {word: sum(text.count(word) for text in texts) for word in task.args.words}
    task.tell(documents=len(texts))
    path = task.file("words", ".json")
    write_json(path, found)
    return ShardResult({path: None}, {"words": found})
