"""Kernels that several rooms use: bytes, words, lines, n-grams, tables."""

import pipeline.text.kernels.compiled  # noqa: F401 - sets where compiled kernels are cached
