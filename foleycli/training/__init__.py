"""Training: data, objectives, one loop for all."""
