"""What runs on each host node: finds its DPUs, sets up the host's side of their network, reboots the host for them."""
