"""Loaded parts that belong together."""
