"""Text classifiers: training, measuring and the models that ship with winnow."""
