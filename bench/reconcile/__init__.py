"""What a pass over an unchanged DPUService costs in CPU. Target: under 2 ms."""
