"""Writes `docs/states` and a part of `docs/reference` from the source. Run as `python -m tools.docsgen [--check]`."""
