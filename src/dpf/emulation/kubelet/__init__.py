"""An emulated kubelet: many nodes in one process, each with its own credentials, running pods as local processes.

The order to read it in: `config` (what the person gives), `node` and `podplan` (pure decisions), `podworker` (one loop
per pod), `agent` (one node), `__main__` (the process).
"""
