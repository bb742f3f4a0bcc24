"""Decontamination: evaluation sets, the n-grams they consist of, and where these occur in training texts."""
