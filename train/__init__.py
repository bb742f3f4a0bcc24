"""Token shards → a compact decoder-only Transformer, its log, its bits per byte, and text out of it."""
