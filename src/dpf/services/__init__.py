"""Services: Helm charts that run on the nodes of DPU clusters, or in the host cluster."""
