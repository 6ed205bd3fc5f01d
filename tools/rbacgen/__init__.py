"""Writes the RBAC roles in `deploy/rbac` from what controllers declare. Run as `python -m tools.rbacgen [--check]`.

A role for each controller, so that any grouping of controllers into processes stays at what it needs: a process is
bound to the roles of its controllers and to those in `runtime.yaml`. One file for each domain; `dpu-cluster/` holds
what they may do in each DPU cluster. Roles only: who is bound to them is a matter of the installation.
"""
