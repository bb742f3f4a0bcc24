"""winnow: from seed URLs to a trained language model, with every token accounted for."""

__version__ = "0.1.0"
