"""Made sounds measured against real ones."""
