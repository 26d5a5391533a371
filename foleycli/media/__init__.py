"""Files to arrays and back; the only folder that runs ffmpeg."""
