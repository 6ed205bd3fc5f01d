"""Labels of host nodes that say which revision of an in-cluster service a node runs (behaviour-service.md 6.11)."""
