"""What the DPU controller has its driver do: orders to a card, and everything that holds a secret. Values only.

Made by `phases`, carried out by `apply`, whose answers are the values at the end of this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dpf.api.dpu import DPU
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key
from dpf.provisioning.install.port import Card, Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Intent: give the card one order. Answers what the card answered.

    With `tells` a refusal is an answer as well, `Refused`; else it is an error, and tried again with growing pauses.
    """

    card: Card
    order: Order
    tells: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Intent: make what the DPU joins with, render its configuration, put it on the volume.

    Answers `Prepared` or `Unprepared`.

    `with_agent`: an agent on the Arm cores reports to the host cluster. The flavor may hold a password.
    """

    dpu: DPU
    flavor: DPUFlavor = field(repr=False)
    cluster: Key
    host_name: str | None
    with_agent: bool
    doca_version: str | None
    control_plane_mtu: int
    high_speed_mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepToken:
    """Intent: have the token that the installed DPU holds last on, while something else is waited for."""

    dpu: DPU
    cluster: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Intent: take back the tokens that the DPU needs no more. With `for_good` also everything else made for it."""

    dpu: DPU
    cluster: Key | None
    for_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureDMS:
    """Intent: have the management service run on the host."""

    dpu: DPU
    dpunode: DPUNode
    host_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureHostNetwork:
    """Intent: have the host's side of the card set up."""

    dpu: DPU
    dpunode: DPUNode
    host_name: str
    vf_count: int
    mtu: int


Intent = Command | Prepare | KeepToken | Revoke | EnsureDMS | EnsureHostNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The card did not carry out an order. See `InstallError`; `silent` when nothing was heard of it."""

    why: str
    busy: bool = False
    doubtful: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """`file` is the name of the configuration below the folder bfcfg/ of the volume."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unprepared:
    """Why the configuration could not be made; `is_final` when only another flavor or DPU can help."""

    reason: str
    why: str
    is_final: bool = False
