"""What each phase of a DPU decides, and the table of phases. Pure."""
