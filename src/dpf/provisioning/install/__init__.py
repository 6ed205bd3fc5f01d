"""Install interfaces: how a DPU is looked at, and how its system gets onto it (behaviour-provisioning.md 8 and 9)."""
