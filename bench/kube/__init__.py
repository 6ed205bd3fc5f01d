"""Benchmark of the Kubernetes layer against canned bytes over loopback, so that the figures are ours alone."""
