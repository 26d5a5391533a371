"""Generated sounds measured against real ones."""
