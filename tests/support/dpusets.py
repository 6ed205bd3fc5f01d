"""DPUSets, hosts and devices, the DPUSet controller over an in-memory cluster, and a player of the DPU controller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.world import NAMESPACE, World, a_world

from dpf.api.core import Event
from dpf.api.dpfoperatorconfig import DPFOperatorConfig, DPFOperatorConfigSpec
from dpf.api.dpu import DPU, DPUSpec, DPUStatus
from dpf.api.dpucluster import DPUCluster, DPUClusterSpec
from dpf.api.dpudevice import DPUDevice, DPUDeviceSpec, DPUDeviceStatus
from dpf.api.dpunode import DPUNode, DPUNodeSpec, DPUNodeStatus
from dpf.api.dpuset import DPUSet, DPUSetSpec
from dpf.api.meta import Condition, Key, ObjectMeta
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.dpuset.controller import DPUSetController
from dpf.provisioning.dpuset.selection import Candidate
from dpf.provisioning.dpuset.snapshot import Platform, Snapshot
from dpf.runtime.manager import Manager

SET = "dpuset-dk"
VERSION = "26.4.0"
DPU_FINALIZER = "provisioning.dpu.nvidia.com/dpu-protection"
NODE_LABEL = "provisioning.dpu.nvidia.com/dpunode-name"
HASH_LABEL = "provisioning.dpu.nvidia.com/dpuset-dpu-template-spec-hash"
PCI_LABEL = "provisioning.dpu.nvidia.com/dpudevice-pciAddress"
LONG_AGO = "2025-12-01T00:00:00Z"


def a_template(**spec: Any) -> dict[str, Any]:
    """`spec.dpuTemplate.spec` as users write it."""
    return {"bfb": {"name": "bfb-a"}, "dpuFlavor": "flavor-a", "nodeEffect": {"noEffect": True}, **spec}


def a_dpuset(
    name: str = SET, *, namespace: str = NAMESPACE, template: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None, **spec: Any,
) -> DPUSet:
    """A DPUSet that selects everything; the strategy is that of the API, OnDelete."""
    wanted = {"dpuTemplate": {"annotations": annotations, "spec": template or a_template()}, **spec}
    return DPUSet(
        metadata=ObjectMeta(
            name=name, namespace=namespace, uid=f"uid-{name}", generation=1, creationTimestamp=LONG_AGO,
            labels=dict(labels) if labels else None,
        ),
        spec=msgspec.convert(wanted, DPUSetSpec),
    )


def rolling(max_unavailable: int | str | None = None) -> dict[str, Any]:
    """`spec.strategy` of a rolling update."""
    pace = {"rollingUpdate": {"maxUnavailable": max_unavailable}} if max_unavailable is not None else {}
    return {"type": "RollingUpdate", **pace}


def a_node(name: str = "worker1", *, ref: str | None = None, **labels: str) -> DPUNode:
    """A host; underscores of label keys stand for dots, two for a slash."""
    return DPUNode(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, uid=f"uid-{name}", labels=_labels(labels)),
        spec=DPUNodeSpec(), status=DPUNodeStatus(kubeNodeRef=ref),
    )


def a_device(
    name: str, node: str | None = "worker1", *, serial: str | None = None, pci: str | None = "0000-2b-00",
    labels: Mapping[str, str] | None = None, cluster: Mapping[str, Any] | None = None, dpu_type: str = "BlueField3",
) -> DPUDevice:
    """A card that is in `node`."""
    own = {PCI_LABEL: pci} if pci is not None else {}
    where = {NODE_LABEL: node} if node is not None else {}
    spec = {"serialNumber": serial if serial is not None else f"MT-{name}".upper(), "cluster": cluster}
    return DPUDevice(
        metadata=ObjectMeta(
            name=name, namespace=NAMESPACE, uid=f"uid-{name}", labels={**own, **where, **(labels or {})} or None
        ),
        spec=msgspec.convert(spec, DPUDeviceSpec),
        status=DPUDeviceStatus(pciAddress=pci, dpuType=dpu_type),
    )


def a_dpu(
    name: str = "worker1-dev1", *, owner: str = SET, node: str = "worker1", device: str = "dev1",
    ready: bool | None = True, phase: str = "Ready", deleting: bool = False, generation: int = 1,
    observed: int | None = 1, labels: Mapping[str, str] | None = None, outdated: Mapping[str, str] | None = None,
    **spec: Any,
) -> DPU:
    """A DPU of the DPUSet `owner`, installed from the template of `a_template`."""
    wanted = {
        "dpuNodeName": node, "dpuDeviceName": device, "serialNumber": f"MT-{device}".upper(), "bfb": "bfb-a",
        "dpuFlavor": "flavor-a", **spec,
    }
    status = {"phase": phase, "observedGeneration": observed, "outdated": outdated}
    conditions = [] if ready is None else [Condition(type="Ready", status=str(ready), reason="DPUReady")]
    return DPU(
        metadata=msgspec.convert({
            "name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": generation,
            "deletionTimestamp": "2026-01-01T00:00:00Z" if deleting else None, "labels": dict(labels or {}) or None,
            "ownerReferences": [{
                "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1", "kind": "DPUSet", "name": owner,
                "uid": f"uid-{owner}", "controller": True, "blockOwnerDeletion": True,
            }] if owner else None,
        }, ObjectMeta),
        spec=msgspec.convert(wanted, DPUSpec),
        status=msgspec.structs.replace(msgspec.convert(status, DPUStatus), conditions=conditions or None),
    )


def a_cluster(name: str = "tenant1", **labels: str) -> DPUCluster:
    """A DPUCluster with labels."""
    return DPUCluster(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, labels=labels or None), spec=DPUClusterSpec(type="static")
    )


def a_config(**spec: Any) -> DPFOperatorConfig:
    """The DPFOperatorConfig."""
    return DPFOperatorConfig(
        metadata=ObjectMeta(name="dpfoperatorconfig", namespace=NAMESPACE),
        spec=msgspec.convert(spec, DPFOperatorConfigSpec),
    )


def a_snapshot(dpuset: DPUSet, *candidates: tuple[DPUNode, DPUDevice], **fields: Any) -> Snapshot:
    """What a pass sees of these hosts and devices."""
    found = sorted((Candidate(node=node, device=device) for node, device in candidates), key=lambda c: c.name)
    return Snapshot(
        dpuset=dpuset, candidates=tuple(found), platform=fields.pop("platform", Platform(version=VERSION)), **fields
    )


def pairs(count: int) -> list[tuple[DPUNode, DPUDevice]]:
    """That many hosts with one device each: worker01 with dev01, and so on."""
    return [(a_node(f"worker{n:02}"), a_device(f"dev{n:02}", f"worker{n:02}")) for n in range(1, count + 1)]


@dataclass(slots=True)
class Stage:
    """A cluster with the DPUSet controller, and whoever else has a part in it."""

    world: World = field(default_factory=a_world)

    @property
    def clusters(self) -> tuple[MemoryCluster, ...]:
        """For `crash_everywhere`."""
        return self.world.clusters

    @property
    def host(self) -> MemoryCluster:
        return self.world.host

    @asynccontextmanager
    async def controller(self) -> AsyncIterator[Manager]:
        """One life of the controller's process."""
        async with self.world.controllers(
            lambda world: [DPUSetController(clusters=world.registry, clock=world.clock, version=VERSION)]
        ) as manager:
            yield manager

    @property
    def dpus(self) -> dict[str, DPU]:
        return {dpu.metadata.name: dpu for dpu in self.host.objects(DPU)}

    def dpuset(self, name: str = SET) -> DPUSet | None:
        return next((s for s in self.host.objects(DPUSet) if s.metadata.name == name), None)

    def told(self, type_: str = "Ready", name: str = SET) -> tuple[str, str, str]:
        """Status, reason and message of a condition of the DPUSet."""
        dpuset = self.dpuset(name)
        assert dpuset is not None
        (found,) = [c for c in dpuset.status.conditions or () if c.type == type_]
        return found.status, found.reason, found.message

    def statistics(self, name: str = SET) -> dict[str, int] | None:
        dpuset = self.dpuset(name)
        assert dpuset is not None
        return dpuset.status.dpuStatistics

    @property
    def events(self) -> list[tuple[str, str]]:
        """Type and reason of every Event."""
        return [(e.type or "", e.reason or "") for e in self.host.objects(Event)]

    @property
    def asked(self) -> list[str]:
        """Every read that the caches do not answer."""
        return [str(r) for r in self.host.requests if r.verb in ("get", "list")]

    async def edit(self, patch: Mapping[str, Any], name: str = SET) -> None:
        """A user changes the DPUSet's spec."""
        await self.host.patch(DPUSet, name, NAMESPACE, patch={"spec": patch})

    async def edit_template(self, name: str = SET, **spec: Any) -> None:
        """A user changes the template's spec."""
        await self.edit({"dpuTemplate": {"spec": spec}}, name)

    async def report(self, name: str, phase: str = "Ready", *, ready: bool | None = None) -> None:
        """The DPU controller says where a DPU is; it has seen the last change of it."""
        dpu = self.dpus[name]
        ready = phase == "Ready" if ready is None else ready
        condition = {"type": "Ready", "status": str(ready), "reason": "DPUReady", "message": "",
                     "lastTransitionTime": LONG_AGO}
        await self.host.patch(DPU, name, NAMESPACE, subresource="status", patch={"status": {
            "phase": phase, "observedGeneration": dpu.metadata.generation, "conditions": [condition],
        }})

    async def protect(self, name: str) -> None:
        """The DPU controller takes a new DPU under its protection."""
        if self.dpus[name].metadata.finalizers is None:
            await self.host.patch(DPU, name, NAMESPACE, patch={"metadata": {"finalizers": [DPU_FINALIZER]}})

    async def let_go(self, name: str) -> None:
        """The DPU controller has cleaned up after a DPU that is being deleted."""
        await self.host.patch(DPU, name, NAMESPACE, patch={"metadata": {"finalizers": None}})

    async def install(self, *names: str) -> None:
        """All of these DPUs (all that stay, when none is named) become Ready."""
        for name, dpu in self.dpus.items():
            if dpu.metadata.deletionTimestamp is None and (not names or name in names):
                await self.protect(name)
                await self.report(name)

    async def clean_up(self) -> None:
        """All DPUs that are being deleted go."""
        for name in self.going:
            await self.let_go(name)

    @property
    def going(self) -> list[str]:
        """DPUs that are being deleted."""
        return [name for name, dpu in self.dpus.items() if dpu.metadata.deletionTimestamp is not None]

    async def work(self, manager: Manager, *, rounds: int = 50) -> None:
        """Everybody does his part until nothing happens any more."""
        for _ in range(rounds):
            before = self.host.resource_version
            await manager.settle()
            await self.clean_up()
            await self.install(*[name for name, dpu in self.dpus.items() if not is_installed(dpu)] or ["(none)"])
            await manager.settle()
            if self.host.resource_version == before:
                return
        raise AssertionError("they go on and on")

    async def tick(self, manager: Manager, seconds: float = 5.0) -> None:
        """Let passes that back off come again."""
        self.world.clock.advance(seconds)
        await manager.settle()


def is_installed(dpu: DPU) -> bool:
    """Whether the DPU controller has nothing left to do."""
    return dpu.status.phase == "Ready" and dpu.status.observedGeneration == dpu.metadata.generation


def a_stage(*objects: Any, world: World | None = None) -> Stage:
    """A stage with these objects."""
    stage = Stage(world=world) if world is not None else Stage()
    stage.host.add(*objects)
    return stage


def hosts(count: int) -> list[Any]:
    """`pairs` as objects."""
    return [obj for pair in pairs(count) for obj in pair]


def key(name: str) -> Key:
    return Key(NAMESPACE, name)


def _labels(given: Mapping[str, str]) -> dict[str, str] | None:
    return {k.replace("__", "/").replace("_", "."): v for k, v in given.items()} or None
