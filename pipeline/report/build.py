"""Gathers what the report shows. Text of documents goes into the page through Jinja's autoescape only, and the page through
`document`, which makes visible what hides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.core.bench import Bench
from pipeline.core.dataset import Dataset
from pipeline.core.files import write_bytes
from pipeline.core.recipe import Recipe
from pipeline.core.rules import Rule
from pipeline.look.representation import Representation, representation
from pipeline.look.rules import rule_table
from pipeline.look.run import Run, open_run, rules_of
from pipeline.look.stats import NumberHistogram, Stats, histogram, stats
from pipeline.report import svg
from pipeline.report.format import gaps_line, mib
from pipeline.report.page import document
from pipeline.report.samples import dropped_samples, kept_samples
from train.result import read_log

MAX_CHARTS = 24
NOTABLE_Z = 2.0  # standard errors from the rate of all documents
MAX_GROUPS = 30
LONGEST = 24  # entries of the vocabulary
COMPARED_LANGUAGES = 8


@dataclass(frozen=True)
class FunnelRow:
    """What is left behind a gate, what it dropped, and the bytes of that text; shares of the first row's documents."""

    name: str
    left: int
    gone: int
    bytes: int
    share: float
    gone_share: float


@dataclass(frozen=True)
class Chart:
    """The histogram of a signal, and its median."""

    signal: str
    svg: Markup
    median: str


@dataclass(frozen=True)
class Vocabulary:
    """Its size, and its longest entries with spaces and line ends made visible."""

    size: int
    longest: tuple[str, ...]


@dataclass(frozen=True)
class LanguageRow:
    """Bytes per token of every tokenizer for a language."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    """Tokenizers side by side: names, a row of cells for each measure, and rows by language."""

    documents: int
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    languages: tuple[LanguageRow, ...]


def write_report(root: Path, out: Path) -> Path:
    """Write the report of a run. Raises: UsageError if `root` is no run."""
    run = open_run(root)
    facts = stats(run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(mib=mib, n=lambda v: f"{v:,}", pct=lambda v: f"{100 * v:.2f}%")
    body = environment.get_template("report.html.j2").render(
        s=facts,
        bar=svg.bar,
        gaps_line=gaps_line,
        funnel=_funnel(facts),
        charts=_charts(run),
        unique=_unique(run),
        groups=_groups(run),
        kept=kept_samples(run),
        dropped=dropped_samples(run),
        tokenizer=_tokenizer(run),
        compared=_compared(run),
        loss=_loss(run),
        steps=[(k, d) for k, d in run.steps.items()],
    )
    style = (Path(__file__).parent / "report.css").read_text("utf-8")
    write_bytes(out, document(f"winnow: {facts.run}", style, body).encode())
    return out


def stage(recipe: Recipe, bench: Bench, done: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """The last stage of a run: `report.html` in its directory, if there is anything to report."""
    if "curate" in done:
        write_report(bench.root, bench.root / "report.html")
    return {}


def _funnel(s: Stats) -> list[FunnelRow]:
    """From captures to kept documents: what is left after each gate."""
    parts = [part for part in (s.extract, s.curate) if part]
    if not parts:
        return []
    left = first = parts[0].rows_in
    rows = [("captures" if s.crawl else "input rows", left, 0, 0)]
    for gate in (gate for part in parts for gate in part.gates):
        left -= gate.documents
        rows.append((gate.gate, left, gate.documents, gate.bytes))
    top = first or 1
    return [FunnelRow(name, n, gone, size, n / top, gone / top) for name, n, gone, size in rows]


def _unique(run: Run) -> dict[str, int]:
    """ "gate.reason" -> documents that only this rule of the run keeps out."""
    if run.get("curate") is None:
        return {}
    return {r.name: r.unique for r in rule_table(run).rules}


def _groups(run: Run) -> Representation | None:
    """Groups of documents that curation removes more (or less) often than others."""
    if run.get("curate") is None or run.get("extract") is None:
        return None
    found = representation(run)
    shown = [g for g in found.groups if g.kind != "host" and abs(g.z) >= NOTABLE_Z]
    return replace(found, groups=tuple(shown[:MAX_GROUPS]))


def _charts(run: Run) -> list[Chart]:
    """A histogram for every signal that a rule of the run bounds."""
    curate = run.get("curate")
    if curate is None:
        return []
    bounds: dict[str, list[tuple[str, float]]] = {}
    for _, rules in rules_of(curate):
        for rule in rules:
            bounds.setdefault(rule.signal, []).extend(_labels(rule))
    charts = []
    for signal, lines in list(bounds.items())[:MAX_CHARTS]:
        found = histogram(run, signal)
        if isinstance(found, NumberHistogram):
            chart = svg.histogram(found.edges, found.kept, found.dropped, lines)
            charts.append(Chart(signal, chart, svg.number(found.quantiles.get("0.5", 0.0))))
    return charts


def _labels(rule: Rule) -> list[tuple[str, float]]:
    return [
        (f"{name} {svg.number(value)}", value)
        for name, value in (("min", rule.min), ("max", rule.max))
        if value is not None
    ]


def _tokenizer(run: Run) -> Vocabulary | None:
    from tokenize_stage.vocabulary import tokenizer_file

    step = run.get("tokenizer")
    if step is None:
        return None
    vocabulary = json.loads(tokenizer_file(step).read_text("utf-8"))["model"]["vocab"]
    longest = sorted(vocabulary, key=lambda t: (-len(t), t))[:LONGEST]
    return Vocabulary(len(vocabulary), tuple(t.replace("Ġ", "␣").replace("Ċ", "↵") for t in longest))


COMPARED = (
    ("model", "model", "%s"),
    ("entries", "vocabulary", "%d"),
    ("bytes per token", "bytes_per_token", "%.3f"),
    ("tokens per word", "tokens_per_word", "%.3f"),
    ("unknown tokens", "unknown_share", "%.4f"),
    ("entries never used", "unused", "%d"),
    ("entries never reached", "unreached", "%d"),
    ("Rényi efficiency", "renyi_efficiency", "%.3f"),
    ("overlap with the first", "overlap", "%.3f"),
)


def _compared(run: Run) -> Compared | None:
    """What `winnow tokenizer eval --out RUN` found."""
    path = run.root / "tokenizers.json"
    if not path.is_file():
        return None
    from tokenize_stage.evaluate import read_evaluation

    found = read_evaluation(path)
    made = found.tokenizers
    rows = tuple((title, tuple(form % getattr(t, name) for t in made)) for title, name, form in COMPARED)
    first = made[0].languages[:COMPARED_LANGUAGES]
    languages = (
        LanguageRow(row.name, tuple(t.languages[i].bytes_per_token for t in made)) for i, row in enumerate(first)
    )
    return Compared(found.documents, tuple(t.name for t in made), rows, tuple(languages))


def _loss(run: Run) -> Markup | None:
    step = run.get("train")
    if step is None:
        return None
    lines = list(read_log(step))
    marks = [(r.step, r.validation_loss) for r in lines if r.validation_loss is not None]
    return svg.line([(r.step, r.loss) for r in lines], marks, "loss, nats per token; dots: validation")
