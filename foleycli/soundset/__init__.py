"""Recorded sounds for training: banks, kinds, what is held out."""
