"""The fast extractor: a compiled scan of the page, features of its blocks, a small learned model, text."""
