"""Semantic versions, and constraints on them as charts write them (behaviour-service.md 6.3)."""
