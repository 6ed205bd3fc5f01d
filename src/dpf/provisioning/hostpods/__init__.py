"""Pods that provisioning runs on host nodes: the management service of the cards, the host's side of their network."""
