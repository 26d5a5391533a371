"""MMAudio (Cheng et al., arXiv 2412.15322): flow matching on mel-VAE latents, in its published sizes."""
