"""What presets and options set, checked in one place."""
