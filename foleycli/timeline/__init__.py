"""The sounds of a reel as a timeline for editors: one record, one writer a format."""
