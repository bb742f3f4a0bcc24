"""Kernels of tokens: pre-tokens, counting, merges, encoding, packing."""

import pipeline.text.kernels.compiled  # noqa: F401 - sets where compiled kernels are cached
