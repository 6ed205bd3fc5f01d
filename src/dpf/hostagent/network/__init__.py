"""The host's side of a DPU's network: virtual functions, the first of which is a port of the host's bridge."""
