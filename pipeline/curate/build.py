"""From the gate names of a recipe to what runs: rule sets, edits and matches with checked parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.core.definitions import CountedEdit, EditDef, MatchDef, SignalDef, WindowEdit
from pipeline.core.errors import RecipeError, did_you_mean
from pipeline.core.files import sha256_file
from pipeline.core.recipe import Recipe
from pipeline.core.registry import REGISTRY, Call, load_plugins, resolve
from pipeline.core.rules import RuleSet, configure, load_rule_set
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.curate.files import content_of, resolve_file, sha256_tree
from pipeline.curate.gates import CopyGate, Curation, EditGate, Gate, RuleGate
from pipeline.matching import keep as keep_order
from pipeline.matching.copies import Copies
from pipeline.matching.counted import CountedLines
from pipeline.matching.guard import Losses
from pipeline.matching.keep import Keep
from pipeline.matching.windows import RepeatedWindows

RULES_DIR = Path(__file__).parent.parent / "rules"


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
    for share in ("max_host_loss", "max_source_loss"):
        if not 0 < (value := getattr(config, share)) <= 1:
            raise RecipeError(f"{where}: curate.{share}: expected a share above 0 and up to 1, got {value}.")
    keep = Keep(tuple(config.keep), tuple(config.source_priority))
    losses = Losses(config.max_host_loss, config.max_source_loss)
    gates = tuple(
        _gate(
            spec,
            rule_sets,
            config.tables.get(name, {}),
            f"{where}: curate.{name}",
            base,
            files,
            keep,
            losses,
            tuple(plugins),
        )
        for spec, name in zip(config.gates, names, strict=True)
    )
    needed = [s for g in gates for s in g.signals] + list(extra_signals)
    signal_params: dict[str, dict[str, Any]] = {}
    for name in needed:
        found = REGISTRY.find_signal(name, where)
        given = next((signals.tables[n] for n in found.names if n in signals.tables), {})
        params = resolve(f"{where}: signals.{found.names[0]}", found, given)
        signal_params[found.names[0]] = _with_files(found, params, f"{where}: signals.{found.names[0]}", base, files)
    _check_keep(config.keep, where)
    return Curation(
        gates,
        signal_params,
        keep,
        config.measure_dropped,
        tuple(plugins),
        files,
        (base / Path(config.index).expanduser()).resolve() if config.index else None,
    )


def _gate(
    spec: str,
    rule_sets: Mapping[str, RuleSet],
    table: dict[str, Any],
    where: str,
    base: Path,
    files: dict[str, str],
    keep: Keep,
    losses: Losses,
    plugins: tuple[Path, ...],
) -> Gate:
    """A gate by its name in the recipe; `files` receives what its parameters name."""
    name, _, argument = spec.partition(":")
    if name in rule_sets:
        made = configure(rule_sets[name], where, argument or None, table)
        for rule in made.rules:
            REGISTRY.find_signal(rule.signal, f"{where}.{rule.reason}")
        return RuleGate(made)
    if argument:
        raise RecipeError(f"{where}: '{name}' takes nothing after a colon, got '{argument}'.")
    found: EditDef | MatchDef = REGISTRY.edits.get(name) or REGISTRY.matches[name]
    params = _with_files(found, resolve(where, found, table), where, base, files)
    identity = {
        "kind": "match" if isinstance(found, MatchDef) else "edit",
        "name": name,
        "version": found.version,
        "params": {k: content_of(v, files) if k in found.files else v for k, v in params.items()},
    }
    call = Call(name, params, identity, plugins)
    if isinstance(found, MatchDef):
        return CopyGate(Copies(call, keep, losses))
    if isinstance(found, CountedEdit):
        return EditGate(call, CountedLines(call, keep))
    if isinstance(found, WindowEdit):
        return EditGate(call, RepeatedWindows(call, keep))
    return EditGate(call)


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


def _check_keep(keep: Sequence[str], where: str) -> None:
    known = [*keep_order.FIELDS, *REGISTRY.signals]
    for item in keep:
        if item.removeprefix("-") not in known:
            raise RecipeError(f"{where}: curate.keep: no field or signal '{item}'.{did_you_mean(item, known)}")


def curation_of(recipe: Recipe, extra_signals: Sequence[str] = ()) -> Curation:
    """The curation of a recipe. Raises: as `build`."""
    made = build(
        recipe.section("curate"),
        recipe.section("signals"),
        where=recipe.origin,
        base=recipe.base,
        plugins=recipe.plugins,
        extra_signals=extra_signals,
    )
    document_s = float(recipe.section("limits").document_s)
    if not 0 <= document_s < math.inf:
        raise RecipeError(f"{recipe.origin}: limits.document_s: expected seconds, 0 for no limit, got {document_s}.")
    return replace(made, document_s=document_s)


def check(recipe: Recipe) -> None:
    """A typo in a gate should not be found after hours of crawling. Raises: as `build`."""
    curation_of(recipe)
