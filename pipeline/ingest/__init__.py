"""Existing files in: WARC, WET, JSONL (.gz, .zst) and Parquet, split into shards of bounded size."""
