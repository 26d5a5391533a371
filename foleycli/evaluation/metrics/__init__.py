"""Metrics of arrays: no network and no file."""
