"""The Arm side of an emulated DPU: what it finds in the bytes that were flashed, and what it does with them."""
