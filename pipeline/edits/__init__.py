"""Built-in edits. Importing this package registers them."""

from pipeline.edits import contamination, lines, pii, templates

__all__ = ["contamination", "lines", "pii", "templates"]
