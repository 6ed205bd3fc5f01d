"""DPUDeployment: DPUs, services on them and the chain between them, as one object (behaviour-service.md 5 and 6)."""
