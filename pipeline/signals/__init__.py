"""Built-in signals. Importing this package registers them, through the same door as a user's plug-in."""

from pipeline.signals import document, language, repetition, text, toxicity

__all__ = ["document", "language", "repetition", "text", "toxicity"]
