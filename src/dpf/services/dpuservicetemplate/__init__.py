"""DPUServiceTemplate: what its chart demands of the DPU's software, read from the chart's repository."""
