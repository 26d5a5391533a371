"""SALSA-V: masked flow matching over codec latents, with shortcuts (arXiv 2510.02916)."""
