"""From the gate names of a recipe to what runs: rule sets, edits and matches with checked parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pipeline.edits
import pipeline.matching
import pipeline.signals  # noqa: F401 - these imports register the built-ins
from pipeline.core.errors import MissingModelError, RecipeError, did_you_mean
from pipeline.core.files import sha256_file
from pipeline.core.registry import REGISTRY, EditDef, MatchDef, SignalDef, load_plugins, resolve
from pipeline.core.rules import RuleSet, configure, load_rule_set
from pipeline.models.store import find_model, known_models

RULES_DIR = Path(__file__).parent.parent / "rules"
LISTS_DIR = Path(__file__).parent.parent / "lists"
CLASSIFIERS_DIR = Path(__file__).parent.parent / "models" / "classifiers"


@dataclass(frozen=True)
class CurateConfig:
    """`[curate]`: the gates, in order. `[curate.GATE]` holds a gate's parameters or a rule set's other bounds.

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
    """`[signals.NAME]`: parameters of signals."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """One gate, ready to run and to pickle: functions are named, not held."""

    name: str
    kind: Literal["rules", "edit", "match"]
    rules: RuleSet | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)  # what enters the step key

    @property
    def edit(self) -> EditDef:
        return REGISTRY.edits[self.name]

    @property
    def cuts(self) -> bool:
        """Whether the gate needs to see all documents first, and so begins a new pass."""
        return self.kind == "match" or (self.kind == "edit" and (self.edit.keys or self.edit.windows) is not None)

    @property
    def match(self) -> MatchDef:
        return REGISTRY.matches[self.name]

    @property
    def needs_ranks(self) -> bool:
        """Whether the gate keeps one of several, and so asks for the order of `keep`."""
        return self.kind == "match" or (self.kind == "edit" and (self.edit.keep_one or self.edit.windows is not None))


@dataclass(frozen=True)
class Curation:
    """A whole recipe's curation, as workers receive it."""

    gates: tuple[Gate, ...]
    signal_params: Mapping[str, Mapping[str, Any]]  # first name of a definition -> parameters
    keep: tuple[str, ...]
    measure_dropped: bool
    max_host_loss: float
    max_source_loss: float
    source_priority: tuple[str, ...]
    plugins: tuple[Path, ...]
    files: Mapping[str, str]  # plug-ins, models and lists -> sha256
    index: Path | None = None

    def load(self) -> None:
        """Make the plug-ins' functions known in this process."""
        load_plugins(self.plugins)

    def signal_def(self, name: str) -> SignalDef:
        return REGISTRY.find_signal(name, "signals")


@cache
def builtin_rule_sets() -> dict[str, RuleSet]:
    return {r.name: r for r in map(load_rule_set, sorted(RULES_DIR.glob("*.toml")))}


def build(
    config: CurateConfig,
    signals: SignalsConfig,
    *,
    where: str = "recipe",
    base: Path = Path(),
    plugins: Sequence[Path] = (),
    extra_signals: Sequence[str] = (),
) -> Curation:
    """Check every gate, parameter, signal and file that a recipe names.

    Args:
        where: the recipe's name in messages.
        base: folder of the recipe, for relative paths.
        plugins: files to load first.
        extra_signals: signals to measure besides those that rules need.

    Raises: RecipeError with a suggestion; MissingModelError; UsageError for a bad plug-in.
    """
    load_plugins(plugins)
    rule_sets = dict(builtin_rule_sets())
    for path in config.rules:
        own = load_rule_set(base / path)
        rule_sets[own.name] = own
    names = [g.partition(":")[0] for g in config.gates]
    known = sorted({*rule_sets, *REGISTRY.gate_names()})
    for name in [*names, *config.tables]:
        if name not in known:
            raise RecipeError(
                f"{where}: curate: no gate '{name}'.{did_you_mean(name, known)} winnow has: {', '.join(known)}."
            )
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise RecipeError(f"{where}: curate.gates: '{twice.pop()}' is named twice.")
    unused = sorted(set(config.tables) - set(names))
    if unused:
        raise RecipeError(f"{where}: curate.{unused[0]}: this gate is not in curate.gates.")
    for name in signals.tables:
        REGISTRY.find_signal(name, f"{where}: signals")
    files = {f"plugin {p.name}": sha256_file(p) for p in plugins}
    gates = tuple(
        _gate(spec, rule_sets, config.tables.get(name, {}), f"{where}: curate.{name}", base, files)
        for spec, name in zip(config.gates, names, strict=True)
    )
    needed = [s for g in gates if g.rules for s in g.rules.signals] + list(extra_signals)
    signal_params: dict[str, dict[str, Any]] = {}
    for name in needed:
        found = REGISTRY.find_signal(name, where)
        given = next((signals.tables[n] for n in found.names if n in signals.tables), {})
        params = resolve(f"{where}: signals.{found.names[0]}", found, given)
        signal_params[found.names[0]] = _with_files(found, params, f"{where}: signals.{found.names[0]}", base, files)
    _check_keep(config.keep, where)
    for name in ("max_host_loss", "max_source_loss"):
        if not 0 < (share := getattr(config, name)) <= 1:
            raise RecipeError(f"{where}: curate.{name}: expected a share above 0 and up to 1, got {share}.")
    return Curation(
        gates,
        signal_params,
        tuple(config.keep),
        config.measure_dropped,
        config.max_host_loss,
        config.max_source_loss,
        tuple(config.source_priority),
        tuple(plugins),
        files,
        (base / Path(config.index).expanduser()).resolve() if config.index else None,
    )


def _gate(
    spec: str, rule_sets: Mapping[str, RuleSet], table: dict[str, Any], where: str, base: Path, files: dict[str, str]
) -> Gate:
    name, _, argument = spec.partition(":")
    if name in rule_sets:
        made = configure(rule_sets[name], where, argument or None, table)
        for rule in made.rules:
            REGISTRY.find_signal(rule.signal, f"{where}.{rule.reason}")
        return Gate(name, "rules", made, identity=made.as_json())
    if argument:
        raise RecipeError(f"{where}: '{name}' takes nothing after a colon, got '{argument}'.")
    found: EditDef | MatchDef = REGISTRY.edits.get(name) or REGISTRY.matches[name]
    params = resolve(where, found, table)
    resolved = _with_files(found, params, where, base, files)
    kind: Literal["edit", "match"] = "edit" if isinstance(found, EditDef) else "match"
    identity = {
        "kind": kind,
        "name": name,
        "version": found.version,
        "params": {k: content_of(v, files) if k in found.files else v for k, v in resolved.items()},
    }
    return Gate(name, kind, None, resolved, identity)


def _with_files(
    found: SignalDef | EditDef | MatchDef, params: dict[str, Any], where: str, base: Path, files: dict[str, str]
) -> dict[str, Any]:
    """Parameters that name files, made into absolute paths; their hashes are added to `files`."""
    resolved = dict(params)
    for name in found.files:
        value = params[name]
        several = isinstance(value, list | tuple)
        paths = [resolve_file(str(v), f"{where}.{name}", base) for v in (value if several else [value]) if v]
        resolved[name] = tuple(map(str, paths)) if several else str(paths[0]) if paths else ""
        for path in paths:
            files[str(path)] = sha256_tree(path)
    return resolved


def content_of(value: Any, files: Mapping[str, str]) -> Any:
    """A parameter that names files as it enters a step key: by their content."""
    if isinstance(value, list | tuple):
        return [files[str(v)] for v in value]
    return files[str(value)] if value else ""


def sha256_tree(path: Path) -> str:
    """sha256 of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return sha256_file(path)
    parts = [f"{p.relative_to(path)}\0{sha256_file(p)}\n" for p in sorted(path.rglob("*")) if p.is_file()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def resolve_file(value: str, where: str, base: Path) -> Path:
    """A file or folder by path, or a file by the name of an installed model, or by the name of a list that ships with winnow."""
    path = base / Path(value).expanduser()
    if path.is_file() or (path.is_dir() and value not in known_models()):
        return path.resolve()
    if value in known_models():
        return find_model(value).resolve()
    for shipped in (LISTS_DIR / f"{value}.txt", CLASSIFIERS_DIR / f"{value}.bin"):
        if shipped.is_file():
            return shipped
    names = [*known_models(), *(p.stem for p in (*LISTS_DIR.glob("*.txt"), *CLASSIFIERS_DIR.glob("*.bin")))]
    raise RecipeError(f"{where}: {path} does not exist.{did_you_mean(value, names)} By name: {', '.join(names)}.")


KEEP_FIELDS = ("text_bytes", "capture_time", "date", "url", "source", "source_offset", "source_priority")


def _check_keep(keep: Sequence[str], where: str) -> None:
    known = [*KEEP_FIELDS, *REGISTRY.signals]
    for item in keep:
        if item.removeprefix("-") not in known:
            raise RecipeError(f"{where}: curate.keep: no field or signal '{item}'.{did_you_mean(item, known)}")


def compile_kernels() -> None:
    """Run every built-in signal, the compiled edit and every match once, so that workers find their kernels compiled on disk.

    Models that are not installed are left out: they compile when they are first used.
    """
    from pipeline.core.registry import measure
    from pipeline.core.schema import Doc
    from pipeline.decontaminate.sets import gram_index
    from pipeline.text.batch import TextBatch

    doc = Doc(b"0" * 16, "Some words, some words.\n\nこれは文です。 [1]\n" * 3, url="http://a.b/", host="a.b")
    names = [n for n, d in REGISTRY.signals.items() if not d.requires and n == d.names[0]]
    try:
        curation = build(CurateConfig(gates=["c4_lines"]), SignalsConfig(), extra_signals=names)
    except MissingModelError:
        names = [n for n in names if "model" not in REGISTRY.signals[n].params]
        curation = build(CurateConfig(gates=["c4_lines"]), SignalsConfig(), extra_signals=names)
    for first, params in curation.signal_params.items():
        measure(REGISTRY.signals[first], [doc], dict(params))
    list(curation.gates[0].edit.fn(doc, **curation.gates[0].params))
    for found in REGISTRY.matches.values():
        values = resolve("compile", found, {})
        list(found.fn([doc] if found.batch else doc, **values))
        if found.similarity:
            found.similarity(doc, doc, **values)
        if found.features:
            found.features([doc], **values)
    gram_index([("a", (doc.text,))], 13).matches(TextBatch([doc.text]))
