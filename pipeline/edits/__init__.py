"""Built-in edits. Importing this package registers them."""

from pipeline.edits import lines, pii, templates

__all__ = ["lines", "pii", "templates"]
