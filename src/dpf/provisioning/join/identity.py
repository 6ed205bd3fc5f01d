"""Who a joining DPU and its agent are: names, groups and labels on which token, certificate and rights agree.

Pure. The agent's rights hang on a group that contains the uid of its DPU, and on nothing else. So a namesake in another
namespace gets nothing, and neither does the system of an earlier DPU of the same name, whose certificate still lives.
Sources: behaviour-provisioning.md 5.7 and 12; Kubernetes, "Authenticating with bootstrap tokens" (form of groups).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from dpf.api import provisioning
from dpf.api.dpu import DPU
from dpf.api.meta import OwnerReference
from dpf.runtime import digest

BOOTSTRAP_GROUP: Final = "system:bootstrappers:dpf:dpu-agents"
"""Whoever has an agent's token: may ask for a certificate, and nothing else."""
AGENTS_GROUP: Final = "dpf:dpu-agents"
"""Whoever has an agent's certificate: may ask for the next one."""
AGENT_GROUP_PREFIX: Final = "dpf:dpu-agent:"
AGENT_PREFIX: Final = "da-"
BOOTSTRAP_USER_PREFIX: Final = "system:bootstrap:"

DPU_UID_LABEL: Final = f"{provisioning.GROUP}/dpu-uid"
DPU_NAME_LABEL: Final = f"{provisioning.GROUP}/dpu-name"
DPU_NAMESPACE_LABEL: Final = f"{provisioning.GROUP}/dpu-namespace"
DPU_ANNOTATION: Final = f"{provisioning.GROUP}/dpu"
"""`<namespace>/<name>` of the DPU, whole: a label has no room for every name."""
TOKEN_FOR_LABEL: Final = f"{provisioning.GROUP}/bootstrap-token-for"

_COMMON_NAME_MAX: Final = 64
_LABEL_MAX: Final = 63


class TokenFor(StrEnum):
    """What a bootstrap token is good for."""

    NODE = "node"
    """In a DPU cluster: to become a Node."""
    AGENT = "agent"
    """In the host cluster: to get the agent's certificate."""


def agent_name(dpu: str) -> str:
    """`da-<dpu>`: the user that the agent becomes, and its Role. A certificate has room for 64 characters."""
    return digest.fit(f"{AGENT_PREFIX}{dpu}", _COMMON_NAME_MAX)


def agent_group(uid: str) -> str:
    """The group of the one agent that belongs to the DPU with this uid."""
    return f"{AGENT_GROUP_PREFIX}{uid}"


def agent_groups(uid: str) -> tuple[str, ...]:
    """All organizations in the certificate of that agent."""
    return (AGENTS_GROUP, agent_group(uid))


def labels(dpu: DPU) -> dict[str, str]:
    """On everything that is made for `dpu` by this package; the uid is what counts, the rest is for people."""
    return {
        DPU_UID_LABEL: dpu.metadata.uid or "",
        DPU_NAME_LABEL: digest.fit(dpu.metadata.name, _LABEL_MAX),
        DPU_NAMESPACE_LABEL: dpu.metadata.namespace or "",
    }


def selector(dpu: DPU, purpose: TokenFor) -> str:
    """Label selector of the tokens of `dpu`."""
    return f"{DPU_UID_LABEL}={dpu.metadata.uid},{TOKEN_FOR_LABEL}={purpose}"


def is_made_for(found: Mapping[str, str] | None) -> bool:
    """Whether an object with these labels was made by this package, for whichever DPU."""
    return DPU_UID_LABEL in (found or {})


def owner(dpu: DPU) -> OwnerReference:
    """Has the object go with its DPU."""
    return OwnerReference(
        apiVersion=DPU.resource.api_version, kind=DPU.resource.kind, name=dpu.metadata.name,
        uid=dpu.metadata.uid or "",
    )


def join_secret_name(dpu: str) -> str:
    """The Secret beside the DPU with its join command under the key `join` (behaviour-provisioning.md 5.7)."""
    return f"{dpu}-kubeadm-join"
