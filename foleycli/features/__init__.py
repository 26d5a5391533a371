"""Frames and words to features."""
