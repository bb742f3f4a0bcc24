"""`[curate]` and `[signals]`. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CurateConfig:
    """`[curate]`: the gates, in order. `[curate.GATE]` holds the parameters of an edit or a match, or other bounds for a rule
    set: `[curate.gopher_quality]` with `too_few_words = { min = 30 }`.

    Attributes:
        gates: names of rule sets, edits and matches; `language:en,de` gives a rule set its argument.
        rules: further rule set files (TOML), relative to the recipe.
        keep: which copy of several stays: fields and signals measured before, the first that differs decides; a
            leading '-' prefers the larger value. Ties go to the smallest doc_id.
        source_priority: patterns (`wiki/*`, `*.gov`) of input files or hosts for the field `source_priority` in `keep`:
            what fits an earlier one comes first, what fits none last.
        max_host_loss: a match that would drop a larger share of the documents of a host (of 100 or more) stops the run;
            1.0 lets it pass.
        max_source_loss: the same for the documents of an input file.
        index: folder of earlier documents (`winnow dedup index`) that matches compare with; relative to the recipe.
        measure_dropped: go on measuring documents that a gate dropped, so that `winnow whatif` can answer about them.
    """

    gates: list[str] = field(
        default_factory=lambda: [
            "rights", "urls", "language:en", "gopher_quality", "gopher_repetition", "toxicity", "pii", "exact", "minhash",
        ]
    )  # fmt: skip
    rules: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=lambda: ["-text_bytes", "capture_time"])
    measure_dropped: bool = True
    source_priority: list[str] = field(default_factory=list)
    max_host_loss: float = 0.95
    max_source_loss: float = 0.95
    index: str = ""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class SignalsConfig:
    """`[signals]`: `[signals.NAME]` holds the parameters of a signal, for example `[signals.toxic_word_frac]` with
    `words = "my_words.txt"`."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
