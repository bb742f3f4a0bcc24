"""Copies: built-in matches, and the engine that verifies candidates and chooses what to keep."""

from pipeline.matching import builtin

__all__ = ["builtin"]
