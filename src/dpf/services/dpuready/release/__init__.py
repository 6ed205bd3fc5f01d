"""Requestors of DPUDeployments leave DPUNodeMaintenances when their services work (behaviour-service.md 6.11)."""
