"""Reproducible benchmarks. `python -m bench` runs all, `python -m bench.<area>` one; `--json FILE` beside the text.

Nothing here passes or fails: figures are for people to compare, on the same machine and in the same run.
"""
