"""Cluster manager `kamaji`: the control plane of a DPUCluster is a TenantControlPlane that Kamaji runs as pods.

Where the DPUCluster asks for a virtual address, keepalived carries it between the nodes of the host cluster.
"""
