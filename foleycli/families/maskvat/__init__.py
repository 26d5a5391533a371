"""MaskVAT: codec tokens generated a few frames at a time, the most confident first (arXiv 2407.10387)."""
