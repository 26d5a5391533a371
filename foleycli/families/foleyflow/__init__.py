"""Foley-Flow: masked audio-visual alignment, then a flow conditioned anew at every latent step (arXiv 2603.08126)."""
