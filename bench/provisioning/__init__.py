"""Benchmark of provisioning on real engines: BMCs without latency, from one DPUSet to DPUs that are Ready."""
