"""Benchmark of the services controllers on real engines: etcd, a host API server and API servers of DPU clusters."""
