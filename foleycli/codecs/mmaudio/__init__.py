"""MMAudio's codec: mel spectrogram, VAE, vocoder."""
