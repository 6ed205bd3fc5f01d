"""DPUNodeMaintenance: what happens to a host while something is done to its DPUs."""
