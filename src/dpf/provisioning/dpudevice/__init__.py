"""DPUDevice: one card."""
