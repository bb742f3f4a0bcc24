"""Built-in edits. Importing this package registers them."""

from pipeline.edits import pii, templates

__all__ = ["pii", "templates"]
