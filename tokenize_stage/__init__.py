"""Curated text → byte-level BPE tokenizer → packed Parquet token shards, and the reader that feeds a trainer."""
