"""Writes the RBAC roles in `deploy/rbac` from what controllers declare. Run as `python -m tools.rbacgen [--check]`.

One file for each domain, which is one process: what it may do in the host cluster, and in `dpu-cluster/` what it may
do in each DPU cluster. Roles only: who is bound to them is a matter of the installation.
"""
