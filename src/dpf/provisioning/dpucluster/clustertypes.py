"""Which cluster managers exist, and what a person does when one of them is silent or its cluster is down.

Pure. `spec.type` of a DPUCluster is `kamaji`, `static` or `<vendor>/<name>` (api-provisioning.md section 5); the CRD's
pattern is not anchored, so the API server lets words through that name no manager.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

KAMAJI: Final = "kamaji"
STATIC: Final = "static"
LOCAL: Final = "dpf/local"
"""A control plane of plain processes on this machine, in the form that the CRD reserves for vendors."""

_VENDOR: Final = re.compile(r"[^/\s]+/\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Next steps for one type: `silent` when its manager does not answer, `down` when the API server does not."""

    silent: str
    down: str


_ADVICE: Final = {
    KAMAJI: Advice(
        silent="check that the Kamaji cluster manager runs (`dpf run cluster-manager kamaji`)",
        down="look at TenantControlPlane {name} and its pods in namespace {namespace}",
    ),
    STATIC: Advice(
        silent="check that the static cluster manager runs (`dpf run cluster-manager static`)",
        down="check that this API server runs and can be reached from where the provisioning controller runs",
    ),
    LOCAL: Advice(
        silent="check that the local cluster manager runs (`dpfctl local status`; `dpfctl local up` starts it)",
        down="see `dpfctl local status` and `dpfctl local logs`; the local cluster manager starts what is missing",
    ),
}
_VENDOR_ADVICE: Final = Advice(
    silent="check that the cluster manager of this vendor is installed and runs",
    down="look at the control plane with the tools of its vendor",
)


def is_known(type_: str) -> bool:
    """Whether some manager may answer to `type_`: one of ours, or a well-formed vendor's type."""
    return type_ in _ADVICE or _VENDOR.fullmatch(type_) is not None


def advice(type_: str) -> Advice:
    """What to do about a cluster of that type; texts may hold {name} and {namespace}."""
    return _ADVICE.get(type_, _VENDOR_ADVICE)


def choices() -> str:
    """The legal values of spec.type, for a message."""
    return f"{', '.join(sorted(_ADVICE))} or <vendor>/<name>"
