"""Built-in signals. Importing this package registers them, through the same door as a user's plug-in."""

from pipeline.signals import datatrove, document, language, lines, phrases, repetition, text, toxicity

__all__ = ["datatrove", "document", "language", "lines", "phrases", "repetition", "text", "toxicity"]
