"""A Kubernetes cluster in memory: `cluster.MemoryCluster` behind the client port, for tests and for planning.

    cluster       the port, and the hooks through which tests interfere
    objects       what exists, and history
    watches       lists and watches over it
    rules         pure: what one request may change, and what the server fills in
    ownership     pure: server-side apply
    subresources  tokens and evictions
    collector     what a controller manager would do: namespace content, garbage collection by owner
"""

from dpf.kube.memory.cluster import MemoryCluster, Request, Write

__all__ = ["MemoryCluster", "Request", "Write"]
