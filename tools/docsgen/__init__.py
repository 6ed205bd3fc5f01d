"""Writes `docs/reference` from the source. Run as `python -m tools.docsgen [--check]`."""
