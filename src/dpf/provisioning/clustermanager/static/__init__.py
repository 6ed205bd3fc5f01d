"""Cluster manager `static`: an administrator brought the cluster and its kubeconfig Secret."""
