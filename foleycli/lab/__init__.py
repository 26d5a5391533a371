"""Measurements of the models, each a command: python -m foleycli.lab.NAME."""
