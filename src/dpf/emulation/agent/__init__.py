"""The agent on an emulated DPU: it gets an identity in the host cluster and reports on its DPU object."""
