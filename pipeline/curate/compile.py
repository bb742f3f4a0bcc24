"""Compiling the kernels of curation before the first run."""

from __future__ import annotations

from pipeline.core.documents import Doc, Documents
from pipeline.core.errors import MissingModelError
from pipeline.core.registry import REGISTRY, measure, resolve
from pipeline.curate.build import build
from pipeline.curate.config import CurateConfig, SignalsConfig
from pipeline.decontaminate.sets import gram_index
from pipeline.text.batch import TextBatch


def compile_kernels() -> None:
    """Run every built-in signal, the compiled edit and every match once, so that workers find their kernels compiled on disk.

    Models that are not installed are left out: they compile when they are first used.
    """
    doc = Doc(b"0" * 16, "Some words, some words.\n\nこれは文です。 [1]\n" * 3, url="http://a.b/", host="a.b")
    names = [n for n, d in REGISTRY.signals.items() if not d.requires and n == d.names[0]]
    try:
        curation = build(CurateConfig(gates=[]), SignalsConfig(), extra_signals=names)
    except MissingModelError:
        names = [n for n in names if "model" not in REGISTRY.signals[n].params]
        curation = build(CurateConfig(gates=[]), SignalsConfig(), extra_signals=names)
    for first, params in curation.signal_params.items():
        measure(REGISTRY.signals[first], Documents([doc]), params)
    lines = REGISTRY.edits["c4_lines"]
    list(lines.fn(doc, **resolve("compile", lines, {})))
    for found in REGISTRY.matches.values():
        values = resolve("compile", found, {})
        list(found.fn([doc] if found.batch else doc, **values))
        if found.similarity:
            found.similarity(doc, doc, **values)
        if found.features:
            found.features([doc], **values)
    gram_index([("a", (doc.text,))], 13).matches(TextBatch([doc.text]))
