"""A long clip as windows on the latent axis."""
