"""DPUDiscovery: a range of addresses in which BMCs are looked for."""
