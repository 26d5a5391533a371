"""foley: a Foley artist on the command line."""

__version__ = "0.1.0"
