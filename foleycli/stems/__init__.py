"""Stems for an editor: broadcast WAV files that know their place, their names, and whom to credit."""
