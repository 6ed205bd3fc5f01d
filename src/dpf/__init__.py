"""An independent implementation of the DOCA Platform Framework."""

__version__ = "0.1.0"
