"""Sound as latents or residual codes, and back."""
