"""Cluster manager `dpf/local`: a real control plane of plain processes on this machine, for the local platform.

It goes through the same objects and phases as Kamaji does in production. What it drives stands behind the port
`driver.ControlPlane`: `dpf.local.dpucontrolplane` is the real one, `memory` the one for tests.
"""
