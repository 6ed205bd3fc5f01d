"""From what was detected on a Node of the host cluster to its DPUNode and DPUDevices."""
