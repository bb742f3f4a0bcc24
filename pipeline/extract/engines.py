"""Extraction engines: decoded HTML in, text and metadata out. Imported inside the killable worker only."""

from __future__ import annotations

from collections.abc import Callable

from trafilatura import bare_extraction
from trafilatura.settings import use_config

from pipeline.extract.outcome import Extracted

_CONFIG = use_config()


def trafilatura_engine(html: str, url: str) -> Extracted:
    """trafilatura with tables and without comments, its cross-document de-duplication off (it depends on order)."""
    document = bare_extraction(
        html, url=url or None, fast=True, with_metadata=True, include_comments=False, include_tables=True,
        deduplicate=False, config=_CONFIG,
    )  # fmt: skip
    if document is None:
        return Extracted()
    return Extracted((document.text or "").strip(), document.title or None, document.date or None)


ENGINES: dict[str, Callable[[str, str], Extracted]] = {"trafilatura": trafilatura_engine}
