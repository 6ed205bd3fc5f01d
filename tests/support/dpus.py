"""Hosts and cards, the controllers that install DPUs, and whoever else has a part in an installation.

    stage = a_stage(tmp_path, interface=InstallInterface.REDFISH)
    async with stage.controllers() as manager:
        await stage.work(manager)

The controllers of DPUSets, DPUs, DPUNodes and DPUNodeMaintenances run over clusters and cards in memory. Cards, the
systems that they boot, kubelets and people are played: each looks at the world and does what is his to do, so that a
test may kill the controllers at any time. `Plays` says what they do by themselves.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tests.support.clock import turns
from tests.support.dpucards import VERSIONS, Cards, Drives, HeardDriver, finish
from tests.support.world import NAMESPACE, World, a_world

from dpf.api import core, names
from dpf.api.bfb import BFB, BFBSpec, BFBStatus, BFBVersions
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.dpu import DPU, DPUSpec, Phase, RebootPhase
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec, DPUClusterStatus
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec, DPUDeviceStatus
from dpf.api.dpuflavor import DPUFlavor, DPUFlavorSpec
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPURef, NodeRebootMethod
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Condition, Key, Object, ObjectMeta
from dpf.api.provisioning import InstallInterface
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.dpu.controller import DPUController
from dpf.provisioning.dpu.snapshot import Settings
from dpf.provisioning.dpunode.controller import DPUNodeController
from dpf.provisioning.dpuset.controller import DPUSetController
from dpf.provisioning.hostpods.driver import HostPods
from dpf.provisioning.install.memory import NEW, MemoryCard
from dpf.provisioning.install.port import Boot, Power
from dpf.provisioning.join.joiner import Joiner
from dpf.provisioning.maintenance.controller import DPUNodeMaintenanceController
from dpf.runtime import conditions
from dpf.runtime.clock import rfc3339
from dpf.runtime.manager import Manager
from dpf.runtime.reconciler import Reconciler

VERSION = "26.4.0"
REGISTRY = "registry.example:8443"
BFB_NAME = "bf-bundle"
FLAVOR = "flavor"
CLUSTER = "tenant1"
HOLD = names.WAIT_FOR_EXTERNAL_NODE_EFFECT_ANNOTATION
REBOOT_REQUIRED = names.EXTERNAL_REBOOT_REQUIRED_ANNOTATION
LONG_AGO = "2025-12-01T00:00:00Z"
STEP_S = 5.0
_OVER = frozenset({Phase.READY, Phase.ERROR})


@dataclass(slots=True)
class Plays:
    """What happens by itself. `methods` are reboot methods that agents ask for first, by DPUDevice; else NoAction."""

    releases: bool = True
    """People prepare the hosts, and say so."""
    runs_pods: bool = True
    """Kubelets of hosts run their pods."""
    installs: bool = True
    """Cards finish what they install."""
    boots: bool = True
    """Installed systems start: their agents report."""
    joins: bool = True
    """Installed systems join their DPU clusters."""
    reboots: bool = True
    """People reboot hosts, and say so."""
    methods: dict[str, str] = field(default_factory=dict)


class NoIssuer:
    """Certificates are no matter here."""

    async def server_secret(self, *args: object, **options: object) -> None:
        """See `hostpods.driver.Issuer`."""

    async def client(self, name: str) -> None:
        """See `hostpods.driver.Issuer`."""


@dataclass(slots=True)
class Stage:
    """`cards` are by the name of their DPUDevice. `joined` are the installations whose system has joined."""

    world: World
    folder: Path
    interface: InstallInterface
    cards: dict[str, MemoryCard]
    installer: Cards
    plays: Plays = field(default_factory=Plays)
    drives: Drives = field(default_factory=Drives)
    joined: set[str] = field(default_factory=set)

    @property
    def clusters(self) -> list[Any]:
        """For `crash_everywhere`: whatever is written or driven."""
        return [*self.world.clusters, self.drives]

    @property
    def host(self) -> MemoryCluster:
        return self.world.host

    @property
    def is_redfish(self) -> bool:
        return self.interface is InstallInterface.REDFISH

    @property
    def dpus(self) -> dict[str, DPU]:
        return {dpu.metadata.name: dpu for dpu in self.host.objects(DPU)}

    @property
    def phases(self) -> dict[str, str]:
        return {name: str(dpu.status.phase) for name, dpu in self.dpus.items()}

    @property
    def maintenances(self) -> dict[str, DPUNodeMaintenance]:
        return {m.metadata.name: m for m in self.host.objects(DPUNodeMaintenance)}

    def dpu(self, name: str = "worker-1-d1") -> DPU:
        """The DPU as it is now."""
        return self.dpus[name]

    def dpunode(self, name: str = "worker-1") -> DPUNode:
        """The host as it is now."""
        return next(n for n in self.host.objects(DPUNode) if n.metadata.name == name)

    def told(self, type_: str = "Ready", name: str = "worker-1-d1") -> tuple[str, str, str]:
        """Status, reason and message of a condition of a DPU."""
        (found,) = [c for c in self.dpu(name).status.conditions or () if c.type == type_]
        return found.status, found.reason, found.message

    def nodes(self, cluster: str = CLUSTER) -> dict[str, core.Node]:
        """Nodes of a DPU cluster."""
        return {n.metadata.name: n for n in self.world.dpus[Key(NAMESPACE, cluster)].objects(core.Node)}

    @property
    def installs(self) -> dict[str, int]:
        """How many installations each card has begun."""
        return {name: len(card.installs) for name, card in self.cards.items()}

    @property
    def left(self) -> list[str]:
        """What was made for DPUs and is still there: tokens, Secrets, rights, pods, files, Nodes, requests."""
        kinds: tuple[type[Object], ...] = (core.Secret, core.Role, core.RoleBinding, core.Pod, core.Node)
        found = [
            f"{cluster.name}: {kind.resource.kind} {obj.metadata.name}"
            for cluster in self.world.clusters for kind in kinds for obj in cluster.objects(kind)
            if not (kind is core.Node and cluster is self.world.host)
        ]
        found += [f"file {path.name}" for path in self.files]
        return found + [f"DPUNodeMaintenance {name}" for name in self.maintenances]

    @property
    def files(self) -> list[Path]:
        """Configurations on the volume."""
        return sorted((self.folder / "bfcfg").glob("*"))

    # The controllers.

    @asynccontextmanager
    async def controllers(self, **options: Any) -> AsyncIterator[Manager]:
        """One life of the controllers' process."""
        async with self.world.controllers(self.build, **options) as manager:
            yield manager

    def build(self, world: World) -> Sequence[Reconciler[Any, Any]]:
        """All controllers of this stage over `world`."""
        joiner = Joiner(clusters=world.registry, host=world.host, clock=world.clock)
        driver = HeardDriver(
            clusters=world.registry, installers=dict.fromkeys(InstallInterface, self.installer), joiner=joiner,
            host_pods=HostPods(world.host, NoIssuer()), folder=self.folder, version=VERSION, drives=self.drives,
        )
        settings = Settings(version=VERSION, registry=REGISTRY, folder=str(self.folder))
        return [
            DPUSetController(clusters=world.registry, clock=world.clock, version=VERSION),
            DPUController(clusters=world.registry, driver=driver, settings=settings, clock=world.clock),
            DPUNodeController(clusters=world.registry, clock=world.clock),
            DPUNodeMaintenanceController(clusters=world.registry, limits=None),
        ]

    async def work(
        self, manager: Manager, *, until: Callable[[Stage], bool] | None = None, rounds: int = 120,
        step_s: float = STEP_S,
    ) -> None:
        """Everybody does his part, `step_s` after another, until every DPU is Ready or in Error, or `until` holds."""
        for _ in range(rounds):
            await manager.settle()
            if (until or Stage.is_over)(self):
                return
            await self.act()
            await manager.settle()
            await self.pass_time(manager, step_s)
        told = {name: [c for c in d.status.conditions or () if c.status != "True"] for name, d in self.dpus.items()}
        raise AssertionError(f"they go on and on: {self.phases} {told}")

    async def pass_time(self, manager: Manager, seconds: float, *, step_s: float = STEP_S) -> None:
        """Time goes by; nobody but the controllers does anything."""
        for _ in range(max(1, round(seconds / step_s))):
            self.world.clock.advance(step_s)
            await turns()
            await manager.settle()

    def is_over(self) -> bool:
        """Whether no DPU is on its way."""
        return all(
            dpu.status.phase in _OVER and dpu.metadata.deletionTimestamp is None and not _is_leaving(self, dpu)
            for dpu in self.dpus.values()
        )

    def in_phase(self, *phases: str) -> Callable[[Stage], bool]:
        """For `work`: all DPUs are in one of these phases."""
        return lambda stage: all(phase in phases for phase in stage.phases.values())

    # The players: each does at most what the state of the world asks him to do.

    async def act(self) -> None:
        """Everybody outside does his part once."""
        await self.release()
        await self.run_pods()
        for device in self.cards:
            await self._play_card(device)
        await self.run_nodes()
        await self.reboot()

    async def release(self) -> None:
        """Hosts that are held are prepared."""
        for name, maintenance in self.maintenances.items():
            held = (maintenance.metadata.annotations or {}).get(HOLD) == "true"
            if held and self.plays.releases:
                await self.annotate(DPUNodeMaintenance, name, HOLD, "false")

    async def run_pods(self) -> None:
        """Pods that are not running run, and are ready; those that are deleted end."""
        for pod in self.host.objects(core.Pod):
            if pod.metadata.deletionTimestamp is not None:
                await self.host.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, grace_period_s=0)
            elif pod.status.phase != "Running" and self.plays.runs_pods:
                status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
                await self.patch_status(core.Pod, pod.metadata.name, status)

    async def reboot(self) -> None:
        """Hosts that are to be rebooted are, and their cards with them."""
        for dpunode in self.host.objects(DPUNode):
            wanted = (dpunode.metadata.annotations or {}).get(REBOOT_REQUIRED)
            asked = conditions.is_true(dpunode.status.conditions, "DPUNodeRebootInProgress")
            if wanted is None or not asked or not self.plays.reboots:
                continue
            for dpu in self._on(dpunode.metadata.name):
                device = dpu.spec.dpuDeviceName if dpu.spec is not None else ""
                self.cards[device].power_cycle()
                self.cards[device].set(power=Power.ON)
                if dpu.status.agentStatus is not None:
                    await self.report(dpu, "NoAction")
            await self.annotate(DPUNode, dpunode.metadata.name, REBOOT_REQUIRED, None)

    async def report(self, dpu: DPU, method: str = "NoAction") -> None:
        """The agent on a DPU has started, and says what has to restart."""
        agent = {"lastStartupTime": rfc3339(self.world.clock.now()), "rebootMethod": method, "conditions": [
            {"type": "RebootMethodDiscovery", "status": "True", "reason": "RebootMethodDiscovery", "message": "",
             "lastTransitionTime": rfc3339(self.world.clock.now())},
        ]}
        await self.patch_status(DPU, dpu.metadata.name, {"agentStatus": agent})

    async def join(self, dpu: DPU) -> None:
        """The system of a DPU joins the cluster, if the cluster still knows its token."""
        assert dpu.spec is not None
        cluster = self.world.dpus[Key(NAMESPACE, (dpu.spec.cluster and dpu.spec.cluster.name) or CLUSTER)]
        uid = dpu.metadata.uid or ""
        assert any(uid in (s.metadata.labels or {}).values() for s in cluster.objects(core.Secret)), "no token"
        self.joined.add(uid)
        if dpu.metadata.name not in {node.metadata.name for node in cluster.objects(core.Node)}:
            await cluster.create(core.Node(metadata=ObjectMeta(name=dpu.metadata.name)))

    async def run_nodes(self) -> None:
        """Nodes of DPUs that say nothing about themselves yet say that they are ready."""
        for key, cluster in self.world.dpus.items():
            for node in cluster.objects(core.Node):
                if not node.status.conditions and self.plays.joins:
                    await self.set_node(node.metadata.name, cluster=key.name)

    async def set_node(self, name: str = "worker-1-d1", *, is_ready: bool = True, cluster: str = CLUSTER) -> None:
        """The kubelet on a DPU says how its Node is."""
        status = {
            "conditions": [{"type": "Ready", "status": str(is_ready)}],
            "addresses": [{"type": "InternalIP", "address": "10.9.0.1"}],
        }
        client = self.world.dpus[Key(NAMESPACE, cluster)]
        await client.patch(core.Node, name, patch={"status": status}, subresource="status")

    async def _play_card(self, device: str) -> None:
        card = self.cards[device]
        if card.is_busy and self.plays.installs:
            finish(card)
        dpu = self._installed(card)
        if dpu is None or card.is_busy or card.sight.boot is not Boot.OS_RUNNING:
            return
        if self.plays.boots and self.is_redfish and dpu.status.agentStatus is None:
            await self.report(dpu, self.plays.methods.get(device, "NoAction"))
        reboot = dpu.status.rebootStatus
        if reboot is not None and reboot.phase == RebootPhase.WAIT_FOR_SHUTDOWN:
            card.set(power=Power.OFF)
        if self.plays.joins and (dpu.metadata.uid or "") not in self.joined and (
            dpu.status.phase == Phase.DPU_CLUSTER_CONFIG
        ):
            await self.join(dpu)

    def _installed(self, card: MemoryCard) -> DPU | None:
        """The DPU whose configuration the card got last; nobody else's."""
        last = card.installs[-1] if card.installs else ""
        return next((dpu for dpu in self.dpus.values() if f"{dpu.metadata.uid}" in last), None)

    def _on(self, dpunode: str) -> list[DPU]:
        return [dpu for dpu in self.dpus.values() if dpu.spec is not None and dpu.spec.dpuNodeName == dpunode]

    # People.

    async def annotate(self, kind: type[Object], name: str, key: str, value: str | None) -> None:
        """Somebody sets an annotation, or takes it off."""
        await self.host.patch(kind, name, NAMESPACE, patch={"metadata": {"annotations": {key: value}}})

    async def patch(self, kind: type[Object], name: str, **spec: Any) -> None:
        """Somebody edits the spec of an object."""
        await self.host.patch(kind, name, NAMESPACE, patch={"spec": spec})

    async def patch_status(self, kind: type[Object], name: str, status: Mapping[str, Any]) -> None:
        """Somebody reports."""
        await self.host.patch(kind, name, NAMESPACE, patch={"status": dict(status)}, subresource="status")

    async def delete(self, name: str = "worker-1-d1") -> None:
        """Somebody deletes a DPU."""
        await self.host.delete(DPU, name, NAMESPACE)


def a_stage(
    folder: Path, *objects: Object, interface: InstallInterface = InstallInterface.REDFISH, hosts: int = 1,
    cards: int = 1, dpus: bool = True, clusters: Sequence[str] = (CLUSTER,), effect: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None, flavor: Mapping[str, Any] | None = None,
    world: World | None = None, **dpu: Any,
) -> Stage:
    """So many hosts with so many cards each, and unless told otherwise a DPU for every card; `objects` replace others.

    `config` is merged into the provisioningController of the DPFOperatorConfig; `dpu` goes into the spec of each DPU.
    """
    world = world or a_world(dpu_clusters=tuple(clusters))
    stage = _empty(world, folder, interface, hosts, cards)
    spec: dict[str, Any] = {"nodeEffect": dict(effect)} if effect is not None else {}
    made: list[Object] = [
        a_config(interface, config), a_bfb(), a_flavor(flavor), *(a_cluster(name) for name in clusters),
        *(obj for number in range(1, hosts + 1) for obj in _a_host(interface, number, cards)),
        *(a_dpu(host, card, **{**spec, **dpu}) for host, card in _places(hosts, cards) if dpus),
    ]
    replaced = {(type(obj), obj.metadata.name) for obj in objects}
    world.host.add(*(obj for obj in made if (type(obj), obj.metadata.name) not in replaced), *objects)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bf-bundle.bfb").write_bytes(b"bundle")
    return stage


def a_config(interface: InstallInterface, controller: Mapping[str, Any] | None = None) -> DPFOperatorConfig:
    """The DPFOperatorConfig that chooses an install interface."""
    redfish = interface is InstallInterface.REDFISH
    chosen: dict[str, Any] = {"installInterface": {"installViaRedfish": {}}} if redfish else {}
    spec = {
        "deploymentMode": "zero-trust" if redfish else "host-trusted",
        "provisioningController": {**chosen, **(controller or {})},
    }
    return DPFOperatorConfig(
        metadata=ObjectMeta(name="dpfoperatorconfig", namespace=NAMESPACE),
        spec=msgspec.convert(spec, DPFOperatorConfigSpec),
    )


def a_bfb(name: str = BFB_NAME, *, phase: str = "Ready", versions: BFBVersions = VERSIONS) -> BFB:
    """A bundle that is on the volume."""
    return BFB(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=BFBSpec(url=f"http://files.example/{name}.bfb"),
        status=BFBStatus(phase=phase, fileName=f"{name}.bfb", versions=versions),
    )


def a_flavor(spec: Mapping[str, Any] | None = None, name: str = FLAVOR) -> DPUFlavor:
    """A flavor that asks for nothing in particular, unless `spec` does."""
    return DPUFlavor(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=msgspec.convert(dict(spec or {}), DPUFlavorSpec)
    )


def a_cluster(name: str = CLUSTER, *, phase: str = "Ready", max_nodes: int = 1000) -> DPUCluster:
    """A DPUCluster."""
    return DPUCluster(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=DPUClusterSpec(type="static", maxNodes=max_nodes),
        status=DPUClusterStatus(phase=phase),
    )


def a_dpu(host: int = 1, card: int = 1, *, cards: int = 1, **spec: Any) -> DPU:
    """A DPU as the DPUSet controller would make it; its uid follows from its name."""
    device = device_name(host, card)
    name = f"worker-{host}-{device}"
    wanted = {
        "dpuNodeName": f"worker-{host}", "dpuDeviceName": device, "serialNumber": serial(device), "bfb": BFB_NAME,
        "dpuFlavor": FLAVOR, "pciAddress": f"0000-{card:02x}-00", "cluster": {"nodeLabels": {"tenant": "a"}}, **spec,
    }
    return DPU(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, uid=uid_of(name), generation=1),
        spec=msgspec.convert(wanted, DPUSpec),
    )


def uid_of(name: str) -> str:
    """The uid that `a_dpu` gives."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def device_name(host: int, card: int = 1) -> str:
    """d1 is the first card of the first host, d1b the second one."""
    return f"d{host}" + ("" if card == 1 else chr(ord("a") + card - 1))


def serial(device: str) -> str:
    """The serial number of a card."""
    return f"MT-{device}".upper()


def _empty(
    world: World, folder: Path, interface: InstallInterface, hosts: int, cards: int,
) -> Stage:
    devices = {device_name(host, card): (host, card) for host, card in _places(hosts, cards)}
    made = {name: MemoryCard(sight=dataclasses.replace(NEW, serial=serial(name))) for name in devices}
    redfish = interface is InstallInterface.REDFISH
    addresses = {
        name: f"10.1.{host}.{card}:443" if redfish else f"10.0.0.{host}:9339"
        for name, (host, card) in devices.items()
    }
    return Stage(
        world=world, folder=folder, interface=interface, cards=made, installer=Cards(made, addresses),
    )


def _a_host(interface: InstallInterface, number: int, cards: int) -> Iterable[Object]:
    """A host that is a Node of the cluster where it is trusted, with its devices, which are ready."""
    name, redfish = f"worker-{number}", interface is InstallInterface.REDFISH
    devices = [device_name(number, card) for card in range(1, cards + 1)]
    if not redfish:
        address = core.NodeAddress(type="InternalIP", address=f"10.0.0.{number}")
        yield core.Node(
            metadata=ObjectMeta(name=name, labels={names.OOB_BRIDGE_CONFIGURED_LABEL: ""}),
            status=core.NodeStatus(addresses=[address]),
        )
    yield DPUNode(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE),
        spec=DPUNodeSpec(dpus=[DPURef(name=d) for d in devices], nodeRebootMethod=NodeRebootMethod(external={})),
    )
    ready = Condition(type="Ready", status="True", reason="Success", message="", lastTransitionTime=LONG_AGO)
    for card, device in enumerate(devices, start=1):
        pci = f"0000-{card:02x}-00"
        yield DPUDevice(
            metadata=ObjectMeta(name=device, namespace=NAMESPACE, labels={names.DPUNODE_NAME_LABEL: name}),
            spec=DPUDeviceSpec(serialNumber=serial(device), bmcIp=f"10.1.{number}.{card}" if redfish else None),
            status=DPUDeviceStatus(
                conditions=[ready], dpuType="BlueField3", pciAddress=None if redfish else pci,
            ),
        )


def _places(hosts: int, cards: int) -> Iterable[tuple[int, int]]:
    return [(host, card) for host in range(1, hosts + 1) for card in range(1, cards + 1)]


def _is_leaving(stage: Stage, dpu: DPU) -> bool:
    """Whether some maintenance still counts on this DPU."""
    return any(
        dpu.metadata.name in (m.spec.requestor or ()) for m in stage.maintenances.values() if m.spec is not None
    )
