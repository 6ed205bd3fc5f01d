"""The far end of every socket that real hardware would hold: nodes and their kubelets, later BMCs and DPU services.

Nothing here is imported by a controller: emulated parts are reached through the API server or a network address only,
as the real ones are, and they say of themselves that they are emulated wherever the API has a field for it.
"""
