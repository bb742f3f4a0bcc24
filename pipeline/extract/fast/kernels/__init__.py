"""Kernels of the fast extractor: scan a page, measure its blocks, choose among them."""

import pipeline.text.kernels.compiled  # noqa: F401 - sets where compiled kernels are cached
