"""DPUSet: one DPU for each selected device, all of them made from one template."""
