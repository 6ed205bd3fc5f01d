"""Approves certificates for agents of DPUs in the host cluster."""
