"""What the agent on a DPU reads: who it is, and how it reaches the host cluster for the first time.

Pure: documents as plain data. Called by `cloudinit`, which writes them as YAML. Source: behaviour-provisioning.md
section 10 (dpuagent.conf, bootstrap kubeconfig).
"""

from __future__ import annotations

import base64
from typing import Any, Final

from dpf.provisioning.flavor import layout
from dpf.provisioning.flavor.facts import AgentAccess, DPUFacts

_CONTEXT: Final = "bootstrap"


def configuration(facts: DPUFacts, access: AgentAccess) -> dict[str, Any]:
    """dpuagent.conf: the DPU object that it reports on, where, and as whom. It holds no secret."""
    return {
        "dpu": {"namespace": facts.namespace, "name": facts.name, "uid": facts.uid},
        "server": access.server,
        "user": access.user,
        "groups": list(access.groups),
        "bootstrapKubeconfig": layout.AGENT_KUBECONFIG,
    }


def kubeconfig(access: AgentAccess) -> dict[str, Any]:
    """The kubeconfig with the bootstrap token, which is good for asking for a certificate and nothing else."""
    authority = base64.b64encode(access.ca_pem.encode()).decode()
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": _CONTEXT,
        "clusters": [{"name": "host", "cluster": {
            "server": access.server, "certificate-authority-data": authority,
        }}],
        "users": [{"name": _CONTEXT, "user": {"token": access.token}}],
        "contexts": [{"name": _CONTEXT, "context": {"cluster": "host", "user": _CONTEXT}}],
    }
