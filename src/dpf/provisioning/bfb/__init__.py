"""BFB: fetches software bundles onto the volume from which DPUs are installed, and serves them to BMCs."""
