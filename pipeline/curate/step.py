"""The curate step: passes and questions in turn, then one dataset with everything on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset, Source
from pipeline.core.recipe import Recipe
from pipeline.core.step import Task
from pipeline.curate.build import curation_of
from pipeline.curate.files import content_of
from pipeline.curate.gates import Curation, Gate
from pipeline.curate.passes import SIDECARS, PassArgs, pass_shard
from pipeline.curate.repeats import FOLDER, find_repeats, repeats_of
from pipeline.curate.repeats import GATE as REPEATS
from pipeline.matching.index import open_index
from pipeline.matching.question import Corpus, Question, Reply

VERSION = 3


@dataclass(frozen=True)
class Asked:
    """A gate's question, what it was put to, and what came out."""

    gate: Gate
    question: Question[object]
    corpus: Corpus
    reply: Reply


def identity(curation: Curation, gates: Sequence[Gate]) -> dict[str, Any]:
    """What decides the output of these gates; models and lists count by content, not by path."""
    used = {curation.signal(s).names[0] for g in gates for s in g.signals}
    return {
        "gates": [dict(g.identity) for g in gates],
        "signals": {
            name: {"version": curation.signal(name).version, "params": shown}
            for name, shown in shown_params(curation).items()
            if name in used
        },
        "keep": list(curation.keep.items),
        "source_priority": list(curation.keep.source_priority),
        "measure_dropped": curation.measure_dropped,
    }


def shown_params(curation: Curation) -> dict[str, dict[str, Any]]:
    """Parameters of signals, files by content."""
    return {
        first: {k: content_of(v, curation.files) if k in curation.signal(first).files else v for k, v in params.items()}
        for first, params in curation.signal_params.items()
    }


def plugin_files(curation: Curation) -> dict[str, str]:
    """Plug-ins by name -> sha256."""
    return {k: v for k, v in curation.files.items() if k.startswith("plugin ")}


def ask_all(
    curation: Curation, documents: Dataset, bench: Bench, repeats: Dataset
) -> tuple[list[Asked], tuple[Gate, ...]]:
    """Run the passes up to the last question of a curation, and put each question.

    Args:
        repeats: see `pipeline.curate.repeats`.

    Returns: the questions with their answers, and the gates that remain for the last pass.
    """
    asked: list[Asked] = []
    segment: list[Gate] = []
    known = open_index(curation.index, curation.matches) if curation.index else {}
    for i, gate in enumerate(curation.gates):
        if gate.question is None:
            segment.append(gate)
            continue
        before = asked[-1].reply.answers if asked else documents
        passed = bench.scratch.step(
            f"pass{len(asked) + 1}",
            identity(curation, curation.gates[: i + 1]),
            VERSION,
            [before],
            _tasks(documents, repeats, asked, PassArgs(curation, tuple(segment), gate.question)),
            pass_shard,
            files=plugin_files(curation),
        )
        corpus = Corpus(documents, passed, known)
        asked.append(Asked(gate, gate.question, corpus, gate.question.reduce(corpus, bench.scratch)))
        segment = [gate]
    return asked, tuple(segment)


def curate(curation: Curation, documents: Dataset, bench: Bench) -> Dataset:
    """Run all gates over a dataset of documents.

    Args:
        curation: checked gates, from `pipeline.curate.build.build`.
        documents: output of the extract step.
        bench: passes and questions lie in its work folder; a later change of a late gate finds the earlier ones done.

    Returns: a dataset with data, signals, decisions and edits, in the shards of the input.
    """
    repeats = find_repeats(documents, bench)
    asked, last = ask_all(curation, documents, bench, repeats)
    extra = {
        "kind": "documents",
        "gates": [*([REPEATS] if repeats.rows(FOLDER) else []), *(g.name for g in curation.gates)],
        "matches": {a.gate.name: dict(a.reply.counts) for a in asked if a.reply.counts},
        **({"index": str(curation.index)} if curation.index else {}),
    }
    return bench.step(
        "curate",
        identity(curation, curation.gates),
        VERSION,
        [documents],
        _tasks(documents, repeats, asked, PassArgs(curation, last, None)),
        pass_shard,
        files=plugin_files(curation),
        extra=extra,
    )


def _tasks(documents: Dataset, repeats: Dataset, asked: Sequence[Asked], args: PassArgs) -> list[Task[PassArgs]]:
    """A task per shard; the last pass joins the sidecars of all passes."""
    tasks = []
    for i in documents.shards():
        inputs: dict[str, tuple[Source, ...]] = {"data": (documents.shard("data", i),)}
        if asked:
            last = asked[-1]
            inputs["state"] = (last.corpus.asked.shard("state", i),)
            inputs["answers"] = (last.reply.answers.shard(last.question.folder, i),)
        elif again := repeats_of(repeats, i):
            inputs["repeats"] = again
        if args.asks is None:
            inputs |= {kind: tuple(a.corpus.asked.shard(kind, i) for a in asked) for kind in SIDECARS}
        tasks.append(Task(i, inputs, args))
    return tasks


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """`curate` of a run."""
    return {"curate": curate(curation_of(recipe), done["extract"], bench)}
