"""From a BlueField card to a node of a DPU cluster: hardware, operating system, DPU clusters and their managers."""
