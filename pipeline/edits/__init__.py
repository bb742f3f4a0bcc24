"""Built-in edits. Importing this package registers them."""

from pipeline.edits import pii

__all__ = ["pii"]
