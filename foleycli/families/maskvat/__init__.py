"""MaskVAT: codec tokens made a few frames at a time, the surest first (arXiv 2407.10387)."""
