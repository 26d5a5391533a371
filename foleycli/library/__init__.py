"""Recorded sounds that can be looked up by words."""
