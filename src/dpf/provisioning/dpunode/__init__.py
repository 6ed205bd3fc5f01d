"""DPUNode: a host with DPUs, and how it comes to be known."""
