"""One machine, real engines: parts (binaries), keys, processes and the platform made of them (design.md section 6)."""
