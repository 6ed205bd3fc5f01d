"""Whether installed DPUs work, and who lets a host go after an upgrade (behaviour-service.md 6.11 and 10.3)."""
