"""Every built-in signal, edit and match as curation calls it, taken from the registry: a new one is there by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.definitions import CountedEdit, EditDef, MatchDef, WindowEdit
from pipeline.core.documents import Doc, Documents
from pipeline.core.registry import REGISTRY, common_key, measure, resolve
from pipeline.core.spans import apply_spans
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.models.ngram import save_ngram_model, train_ngram_model
from tests.conftest import article

Builtin = Callable[[Doc], Any]
# What a built-in may want besides, so that each part of it runs
WIDER: Mapping[str, tuple[dict[str, Any], ...]] = {
    "shared_text": ({"unit": "line", "min_chars": 1}, {"unit": "paragraph", "min_chars": 1}),
    "repeated_lines": ({"min_chars": 1},),
    "exact_substrings": ({"min_tokens": 3},),
    "pii": ({"numbered": True},),
}


def every_builtin(folder: Path) -> dict[str, Builtin]:
    """Name -> what it makes of one document: values of a signal, text and spans of an edit, keys and similarity of a match.

    Args:
        folder: for the models and sets that some of them need.
    """
    save_ngram_model(train_ngram_model([article(n) for n in range(4)], order=3, min_count=1), folder / "model.npz")
    (folder / "set.jsonl").write_text(json.dumps({"text": article(3)}) + "\n", "utf-8")
    (folder / "list.txt").write_text("bad.example\nbad.example/a\nword\n", "utf-8")
    listed = str(folder / "list.txt")
    tables: dict[str, dict[str, Any]] = {
        "perplexity": {"model": str(folder / "model.npz")},
        "quality": {
            "model": str(Path(__file__).parents[1] / "pipeline" / "models" / "classifiers" / "toxicity_en.bin")
        },
        "contaminated_ngram_count": {"sets": [str(folder / "set.jsonl")]},
        "url_domain_listed": {"domains": [listed], "urls": [listed], "subwords": listed, "allow": [listed]},
    }
    names = [n for n, d in REGISTRY.signals.items() if n == d.names[0]]
    curation = build(CurateConfig(gates=[]), SignalsConfig(tables), extra_signals=names)
    found: dict[str, Builtin] = {f"signal {n}": _signal(n, curation.signal_params[n]) for n in names}
    for name, an_edit in REGISTRY.edits.items():
        given = {"sets": [str(folder / "set.jsonl")]} if "sets" in an_edit.requires else {}
        for i, wider in enumerate(WIDER.get(name, ({},))):
            found[f"edit {name}" + f" {i}" * bool(i)] = _edit(an_edit, resolve("test", an_edit, given | wider))
    for name, a_match in REGISTRY.matches.items():
        found[f"match {name}"] = _match(a_match, resolve("test", a_match, {}))
    return found


def _signal(name: str, params: Mapping[str, Any]) -> Builtin:
    def run(doc: Doc) -> dict[str, Any]:
        measure(REGISTRY.signals[name], Documents([doc]), params)
        return {n: doc.signals[n] for n in REGISTRY.signals[name].names}

    return run


def _edit(found: EditDef, params: Mapping[str, Any]) -> Builtin:
    def run(doc: Doc) -> Any:
        told: dict[str, Any] = {}
        if isinstance(found, CountedEdit):
            told["common"] = frozenset(common_key(g, k) for g, k in found.keys(doc, **params))
        elif isinstance(found, WindowEdit):
            first = found.windows(Documents([doc]), **params)[1]
            told["found"] = (first[1::2], np.empty(0, np.int32))
        return apply_spans(doc.text, found.fn(doc, **params, **told))

    return run


def _match(found: MatchDef, params: Mapping[str, Any]) -> Builtin:
    def run(doc: Doc) -> Any:
        keys = found.fn(Documents([doc]) if found.batch else doc, **params)
        seen = [np.asarray(k).tobytes() for k in keys] if found.batch else list(keys)
        if found.features is not None:
            seen += [np.asarray(part).tobytes() for part in found.features(Documents([doc]), **params)]
        return seen + ([found.similarity(doc, doc, **params)] if found.similarity is not None else [])

    return run
