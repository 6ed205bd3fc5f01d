"""DPU: one card, from the object to a Ready Node of its DPU cluster."""
