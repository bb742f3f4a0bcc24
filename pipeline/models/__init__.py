"""Models that measure text: fastText inference, n-gram models, training of classifiers, and the store of model files."""
