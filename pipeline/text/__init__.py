"""Texts as kernels see them: batches, characters, words. The lowest floor: it knows nothing of documents or datasets."""
