"""Cue sheets: which sound is wanted where on a reel, read from and written to the formats that editors use."""
