"""Reboots of a host by the agent that runs on it."""
