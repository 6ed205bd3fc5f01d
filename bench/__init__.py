"""Reproducible benchmarks: `python -m bench.<area>` prints text, and JSON with `--json FILE`."""
