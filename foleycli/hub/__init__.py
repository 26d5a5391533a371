"""Names of models to folders on disk."""
