"""Measurements of models and how they were made: `python -m foleycli.lab` lists them."""
