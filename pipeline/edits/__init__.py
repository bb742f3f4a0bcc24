"""Built-in edits. Importing this package registers them."""

from pipeline.edits import contamination, lines, pii, substrings, templates

__all__ = ["contamination", "lines", "pii", "substrings", "templates"]
