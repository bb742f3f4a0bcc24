"""`[extract]`: what is read, and how pages become text. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

EXTRACTORS = ("fast", "trafilatura")


@dataclass(frozen=True)
class ExtractConfig:
    """`[extract]`: captures and rows to documents.

    Attributes:
        inputs: files, folders or glob patterns, instead of a crawl; relative to the recipe.
        extractor: engine for HTML: "fast" (compiled, with a learned model; what breaks its limits goes to trafilatura)
            or "trafilatura".
        model: file of another model for "fast", from `winnow extractor train`; relative to the recipe.
        max_page_bytes: a longer body (after decompression) or line is dropped as page_too_large.
        max_cpu_s: CPU seconds that trafilatura may take for one page.
        max_memory_mb: address space of its process.
        shard_bytes: inputs are split and joined to about this size on disk.
        text_column: column of JSONL and Parquet rows that holds the text.
        url_column: column with the URL, where rows have one.
        id_column: column that names a row for good; without it a document is known by file and row number.
    """

    inputs: list[str] = field(default_factory=list)
    extractor: str = "fast"
    model: str = ""
    max_page_bytes: int = 10_000_000
    max_cpu_s: float = 20.0
    max_memory_mb: int = 4_096
    shard_bytes: int = 16_000_000
    text_column: str = "text"
    url_column: str = "url"
    id_column: str = ""
