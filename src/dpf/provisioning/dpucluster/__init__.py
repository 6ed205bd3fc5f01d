"""DPUCluster: phases and health of a cluster of DPUs, its kubeconfig Secret, and what a DPU needs to join it.

The control plane itself is made by a cluster manager (`provisioning.clustermanager`).
"""
