"""SALSA-V: masked flow matching over codec latents, with shortcut steps (arXiv 2510.02916)."""
