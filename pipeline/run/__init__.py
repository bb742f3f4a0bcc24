"""A recipe becomes steps: the table of stages, what a command opens, and `winnow run`."""
