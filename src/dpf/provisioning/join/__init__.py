"""How a DPU gets in: bootstrap tokens for its node and its agent, and what the agent may do in the host cluster."""
