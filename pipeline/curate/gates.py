"""Gates, ready to run and to pickle: rule sets, edits, and matches that drop copies.

A gate that asks something of the whole corpus has a question; curation cuts its list there. `ready` gives the function that
takes a crowd through the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipeline.edits
import pipeline.matching
import pipeline.signals  # noqa: F401 - these imports register the built-ins, in a worker that unpickles gates as well
from pipeline.core.dataset import Source
from pipeline.core.definitions import SignalDef
from pipeline.core.documents import Doc, Documents
from pipeline.core.registry import REGISTRY, Call, load_plugins, measure
from pipeline.core.rules import RuleSet, values_of
from pipeline.core.schema import decision
from pipeline.core.spans import apply_spans
from pipeline.core.watch import calling
from pipeline.curate.crowd import Crowd, Record
from pipeline.matching.copies import Copies
from pipeline.matching.keep import Keep
from pipeline.matching.question import EditFacts, Question

Run = Callable[[Crowd, Record], None]


@dataclass(frozen=True)
class Answers:
    """What a gate's question came to for one shard, and the documents that were in it then, in the order of `state`."""

    source: Source
    ids: Sequence[bytes]


@dataclass(frozen=True)
class RuleGate:
    """Drops what fails a rule."""

    rules: RuleSet
    question: None = None

    @property
    def name(self) -> str:
        return self.rules.name

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.rules.as_json()

    @property
    def signals(self) -> list[str]:
        return self.rules.signals

    def ready(self, curation: Curation, answers: Answers | None) -> Run:
        def run(crowd: Crowd, record: Record) -> None:
            _measure(self.signals, crowd.everyone, curation)
            for row, doc in list(crowd.alive.items()):
                failing = self.rules.failing(doc.signals, doc.language)
                if failing:
                    values = values_of(failing, doc.signals, doc.language)
                    record.decisions.append(decision(doc, self.name, [r.reason for r in failing], values=values))
                    crowd.drop(row)

        return run


def _measure(names: Sequence[str], everyone: Documents, curation: Curation) -> None:
    """Signals that are not known yet."""
    for first in dict.fromkeys(curation.signal(n).names[0] for n in names):
        found = curation.signal(first)
        fresh = [d for d in everyone if first not in d.signals]
        whole = everyone if len(fresh) == len(everyone) else Documents(fresh)
        measure(found, whole, curation.signal_params[first])
        if "language" in found.names:
            for doc in everyone:
                doc.language, doc.language_score = str(doc.signals["language"]), _number(doc, "language_score")


def _number(doc: Doc, name: str) -> float | None:
    value = doc.signals.get(name)
    return float(value) if value is not None else None


@dataclass(frozen=True)
class EditGate:
    """Replaces or removes parts of texts; drops what has nothing left."""

    call: Call
    question: Question[EditFacts] | None = None
    signals: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.call.name

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.call.identity

    def ready(self, curation: Curation, answers: Answers | None) -> Run:
        edit, params = self.call.edit, self.call.params
        asked = self.question.read(answers.source, answers.ids) if self.question and answers else None

        def run(crowd: Crowd, record: Record) -> None:
            members = [
                *((r, d, True) for r, d in crowd.alive.items()),
                *((r, d, False) for r, d in crowd.dropped.items()),
            ]
            for row, doc, still_in in members:
                told = asked.params(doc.doc_id) if asked is not None else {}
                with calling("edit", self.name):
                    text, spans = apply_spans(doc.text, edit.fn(doc, **params, **told))
                    for span in spans:
                        _check_text(span.kind)
                        _check_text(span.replacement)
                if not spans:
                    continue
                crowd.change(row, doc.with_text(text))
                if not still_in:
                    continue
                record.edited(doc, self.name, spans)
                if not text.strip():
                    record.decisions.append(decision(doc, self.name, ["nothing_left"]))
                    crowd.drop(row)

        return run


def _check_text(value: object) -> None:
    """Raises: TypeError or UnicodeError for what cannot be stored as a text."""
    if not isinstance(value, str):
        raise TypeError(f"expected a text in a span, got {type(value).__name__}")
    value.encode()


@dataclass(frozen=True)
class CopyGate:
    """Drops copies. They are not measured any further."""

    question: Copies
    signals: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.question.name

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.question.call.identity

    def ready(self, curation: Curation, answers: Answers | None) -> Run:
        assert answers is not None, "a match is asked before it runs"
        copies = self.question.read(answers.source, answers.ids)
        call = self.question.call
        reason, bound = call.match.reason, call.params.get("min_similarity", 0.0)

        def run(crowd: Crowd, record: Record) -> None:
            for row, doc in list(crowd.alive.items()):
                copy = copies.get(doc.doc_id)
                if copy is None:
                    continue
                note = f"{copy.containment:.1%} of it is in the one kept" if copy.similarity < bound else None
                record.decisions.append(
                    decision(doc, self.name, [reason], kept=copy.kept_doc_id, similarity=copy.similarity, note=note)
                )
                crowd.leave(row)

        return run


Gate = RuleGate | EditGate | CopyGate


@dataclass(frozen=True)
class Curation:
    """A whole recipe's curation, as workers receive it.

    Attributes:
        signal_params: first name of a definition -> parameters.
        keep: which of several copies stays.
        measure_dropped: whether documents that a gate dropped are measured by later ones.
        plugins: files to load before anything else.
        files: plug-ins, models and lists -> sha256.
        index: of earlier documents, or None.
        document_s: CPU seconds that a definition may take for one document; 0 for no limit. No result is named by it.
    """

    gates: tuple[Gate, ...]
    signal_params: Mapping[str, Mapping[str, Any]]
    keep: Keep
    measure_dropped: bool
    plugins: tuple[Path, ...]
    files: Mapping[str, str]
    index: Path | None = None
    document_s: float = 30.0

    def load(self) -> None:
        """Make the plug-ins' functions known in this process."""
        load_plugins(self.plugins)

    def signal(self, name: str) -> SignalDef:
        return REGISTRY.find_signal(name, "signals")

    @property
    def matches(self) -> list[Call]:
        """The matches among the gates."""
        return [g.question.call for g in self.gates if isinstance(g, CopyGate)]
