"""DPUFlavor and what is known of a DPU -> bf.cfg: the file that travels with a BFB and tells it what to install.

Pure. Called by the DPU controller before an installation (phase Prepare BFB, or before the flash through DMS) and by
`dpfctl`. The result holds bootstrap tokens: it is written where only the installation reads it, and shown to nobody.

What the BFB's installer does with it: it reads the file as shell, takes the parameters, and calls `bfb_modify_os` when
the new system is below /mnt. Source: behaviour-provisioning.md section 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dpf.api.dpuflavor import DPUFlavor
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.flavor import checks, cloudinit, password, scripts
from dpf.provisioning.flavor.facts import DPUFacts
from dpf.provisioning.flavor.problem import Problem, blocking

MAX_SIZE: Final = 131072
"""Bytes that an installer takes."""
TOO_LARGE: Final = "bf.cfg for {} size ({}) exceeds the maximum limit ({})"
MAX_NODE_NAME: Final = 63
"""A kubelet registers with its name as the value of a label."""

_SEED: Final = "/mnt/var/lib/cloud/seed/nocloud-net"
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.\-]*[a-z0-9])?")
_INTERFACES: Final = (InstallInterface.GNOI, InstallInterface.REDFISH)

_MODIFY_OS: Final = """\
bfb_modify_os()
{{
    mkdir -p {seed} /mnt/etc/cloud/cloud.cfg.d
    cat >{seed}/user-data <<'{user_data_end}'
{user_data}{user_data_end}
    chmod 0600 {seed}/user-data
    cat >{seed}/meta-data <<'DPF_META_DATA'
{meta_data}DPF_META_DATA
    cat >/mnt/etc/cloud/cloud.cfg.d/99-dpf-network.cfg <<'DPF_NETWORK'
network:
  config: disabled
DPF_NETWORK
    rm -f {seed}/network-config /mnt/etc/netplan/50-cloud-init.yaml
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """`bf_cfg` is None when a problem blocks the installation. Neither it nor the user-data is part of the repr."""

    bf_cfg: bytes | None = field(repr=False)
    user_data: str = field(repr=False)
    problems: tuple[Problem, ...] = ()


def render(flavor: DPUFlavor, facts: DPUFacts) -> Rendered:
    """bf.cfg for one DPU: always the same bytes for the same arguments. Bad input is a problem, never an exception."""
    problems = (*checks.problems(flavor), *checks.unsupported(flavor), *_unusable(facts))
    if blocking(problems):
        return Rendered(bf_cfg=None, user_data="", problems=problems)
    user_data = cloudinit.user_data(flavor, facts)
    bf_cfg = _bf_cfg(flavor, facts, user_data).encode()
    if len(bf_cfg) > MAX_SIZE and not facts.skip_size_check:
        too_large = Problem(what=TOO_LARGE.format(facts.name, len(bf_cfg), MAX_SIZE))
        return Rendered(bf_cfg=None, user_data="", problems=(*problems, too_large))
    return Rendered(bf_cfg=bf_cfg, user_data=user_data, problems=problems)


def _bf_cfg(flavor: DPUFlavor, facts: DPUFacts, user_data: str) -> str:
    parameters = password.without((flavor.spec.bfcfgParameters if flavor.spec is not None else None) or ())
    function = _MODIFY_OS.format(
        seed=_SEED, user_data=user_data, user_data_end=_end_of(user_data), meta_data=_meta_data(facts)
    )
    return "".join(f"{parameter}\n" for parameter in parameters) + function


def _end_of(text: str) -> str:
    """A line that `text` does not have: it ends the here-document."""
    lines = frozenset(text.splitlines())
    candidates = (f"DPF_USER_DATA{number or ''}" for number in range(len(lines) + 1))
    return next(candidate for candidate in candidates if candidate not in lines)


def _meta_data(facts: DPUFacts) -> str:
    """Each DPU object is an instance of its own, so that cloud-init begins anew."""
    return cloudinit.to_yaml({"instance-id": facts.uid, "local-hostname": facts.name})


def _unusable(facts: DPUFacts) -> Iterator[Problem]:
    """What would leave the DPU without a cluster."""
    where = f"DPU {facts.namespace}/{facts.name}"
    if facts.install_interface not in _INTERFACES:
        names = " or ".join(_INTERFACES)
        yield Problem(
            where=where, what=f"the install interface {facts.install_interface} is not supported yet",
            remedy=f"set the DPUNode's interface to {names}",
        )
    if len(facts.name) > MAX_NODE_NAME or not _NAME.fullmatch(facts.name):
        yield Problem(
            where=where, remedy="give its DPUNode or DPUDevice a shorter name",
            what=f"a DPU with this name cannot become a Node: names of Nodes are in lower case and have at most "
                 f"{MAX_NODE_NAME} characters, this one has {len(facts.name)}",
        )
    for key, value in sorted(cloudinit.labels(facts).items()):
        if not scripts.is_label(key, value):
            yield Problem(where=where, what=f"{key[:80]!r} cannot be a label of its Node with this value",
                          remedy="correct nodeLabels in the DPUSet")
