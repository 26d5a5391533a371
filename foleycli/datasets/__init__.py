"""Data sets of filmed clips: prepared once as tar shards, curated, and read back for training."""
