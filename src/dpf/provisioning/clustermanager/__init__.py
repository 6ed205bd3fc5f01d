"""Cluster managers: one per DPUCluster spec.type, each makes a control plane and hands over its kubeconfig."""
