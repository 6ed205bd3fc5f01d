"""Every fact that a decision about one DPUDeployment needs, as plain values.

Pure. Filled by `observe` from a cluster or by `offline` from files, read by `plan`, `status` and the modules beside
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dpf.api.bfb import BFB
from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuflavortemplate import DPUFlavorTemplate
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key

Dependency = BFB | BlueFieldSoftware | DPUFlavor | DPUFlavorTemplate | DPUServiceTemplate | DPUServiceConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """What the DPUDeployment owns, also what is being deleted. Found by owner label or controller reference only."""

    services: tuple[DPUService, ...] = ()
    interfaces: tuple[DPUServiceInterface, ...] = ()
    chains: tuple[DPUServiceChain, ...] = ()
    dpusets: tuple[DPUSet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the world around `deployment`.

    The maps of dependencies are keyed by object name and hold only what exists in the deployment's namespace.
    `unreadable` are objects that exist but do not fit our type, by identity, with why: they are not absent. `marked`
    are dependencies that carry the deployment's own consumed-by label, referenced or not. `foreign` are identities that
    the deployment's children would like to have and that belong to somebody else. `zero_trust` says that hosts are not
    trusted, and so cannot be drained.
    """

    deployment: DPUDeployment
    bfb: BFB | None = None
    bluefield_software: BlueFieldSoftware | None = None
    flavor: DPUFlavor | None = None
    flavor_template: DPUFlavorTemplate | None = None
    templates: Mapping[str, DPUServiceTemplate] = field(default_factory=dict)
    configurations: Mapping[str, DPUServiceConfiguration] = field(default_factory=dict)
    unreadable: Mapping[tuple[type[Object], Key], str] = field(default_factory=dict)
    marked: tuple[Dependency, ...] = ()
    children: Children = Children()
    foreign: frozenset[tuple[type[Object], Key]] = frozenset()
    zero_trust: bool = False

    @property
    def key(self) -> Key:
        """Namespace and name of the DPUDeployment."""
        return object_key(self.deployment)
