"""Built-in signals. Importing this package registers them, through the same door as a user's plug-in."""

from pipeline.signals import (
    contamination,
    datatrove,
    document,
    language,
    lines,
    perplexity,
    phrases,
    quality,
    repetition,
    text,
    toxicity,
    url,
)

__all__ = [
    "contamination",
    "datatrove",
    "document",
    "language",
    "lines",
    "perplexity",
    "phrases",
    "quality",
    "repetition",
    "text",
    "toxicity",
    "url",
]
