"""Answers as text for a terminal: one function for each type of answer, found in one table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

# Type of an answer -> the function that shows it, MODULE.NAME both, the functions' modules being those of this folder: a
# command imports what it shows and nothing else. A test holds both sides against each other.
SHOWN = {
    "pipeline.core.rules.RuleSet": "rules.show_rule_set",
    "pipeline.look.clusters.Clusters": "copies.show_clusters",
    "pipeline.look.contamination.Contamination": "groups.show_contamination",
    "pipeline.look.explain.Explanation": "life.show_explanation",
    "pipeline.look.inspect.JsonGlance": "files.show_glance",
    "pipeline.look.inspect.JsonlGlance": "files.show_glance",
    "pipeline.look.inspect.ParquetGlance": "files.show_glance",
    "pipeline.look.inspect.RunGlance": "files.show_glance",
    "pipeline.look.inspect.StepGlance": "files.show_glance",
    "pipeline.look.inspect.WarcGlance": "files.show_glance",
    "pipeline.look.near.Nearest": "funnel.show_nearest",
    "pipeline.look.representation.Representation": "groups.show_representation",
    "pipeline.look.rule_sets.RuleSets": "rules.show_rule_sets",
    "pipeline.look.rules.RuleTable": "rules.show_rule_table",
    "pipeline.look.stats.NameHistogram": "funnel.show_name_histogram",
    "pipeline.look.stats.NumberHistogram": "funnel.show_number_histogram",
    "pipeline.look.stats.Stats": "funnel.show_stats",
    "pipeline.look.tokens.ShardGlance": "tokens.show_shard",
    "pipeline.look.tokens.StepBatch": "tokens.show_batch",
    "pipeline.look.verify.Verified": "files.show_verified",
    "pipeline.look.whatif.WhatIf": "rules.show_whatif",
    "pipeline.matching.calibrate.Calibration": "copies.show_calibration",
    "pipeline.matching.forecast.Forecast": "copies.show_forecast",
    "pipeline.models.classifier.Scores": "models.show_scores",
    "tokenize_stage.evaluate.Evaluation": "tokens.show_evaluation",
}


def show(answer: object, about: str = "") -> None:
    """Print an answer as text.

    Args:
        about: handed on where it is given.
    """
    kind = type(answer)
    function = shown_by(f"{kind.__module__}.{kind.__qualname__}")
    function(answer, about) if about else function(answer)


def shown_by(kind: str) -> Callable[..., None]:
    """The function that shows a type of answer. Raises: KeyError if none does."""
    module, name = SHOWN[kind].split(".")
    found: Callable[..., None] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
