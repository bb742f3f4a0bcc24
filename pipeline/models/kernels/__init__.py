"""Kernels of linear classifiers in the fastText format and of n-gram models."""

import pipeline.text.kernels.compiled  # noqa: F401 - sets where compiled kernels are cached
