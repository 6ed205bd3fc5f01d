"""Carries out what the phases of a DPU intend: orders to cards, tokens, the configuration file, pods of the host.

The driver of the DPU controller. Everything may be repeated after a crash; what holds a secret stays in here.
Source: behaviour-provisioning.md 5.7, 5.12 and 5.17.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU, Phase
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, Object
from dpf.api.provisioning import InstallInterface
from dpf.kube.clusters import Cluster, ClusterRegistry
from dpf.provisioning.bfb import imageuri
from dpf.provisioning.dpu import watches
from dpf.provisioning.dpu.intents import (
    Command,
    EnsureDMS,
    EnsureHostNetwork,
    Intent,
    KeepToken,
    Prepare,
    Prepared,
    Refused,
    Revoke,
    Unprepared,
)
from dpf.provisioning.dpu.phases import installing
from dpf.provisioning.dpu.snapshot import ADMITTED
from dpf.provisioning.dpucluster.bootstrap import TOKEN_NAMESPACE
from dpf.provisioning.flavor import facts, render
from dpf.provisioning.flavor.problem import blocking
from dpf.provisioning.hostpods import build as podbuild
from dpf.provisioning.hostpods import settings as podsettings
from dpf.provisioning.hostpods.driver import HostPods
from dpf.provisioning.install.port import Installer, InstallError
from dpf.provisioning.join import identity
from dpf.provisioning.join.errors import JoinError
from dpf.provisioning.join.joiner import Joiner, JoinRequest
from dpf.runtime.reconciler import DriverError

_PRIVATE: Final = 0o600
FAILED_TO_PUSH: Final = "FailedToPushBFCFG"
FAILED_TO_GENERATE: Final = "FailedToGenerateBFConfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What is acted on. `folder` is the volume with the BFBs."""

    clusters: ClusterRegistry
    installers: Mapping[InstallInterface, Installer]
    joiner: Joiner
    host_pods: HostPods
    folder: Path
    version: str
    _writing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    async def carry_out(self, intent: Intent) -> Any:  # noqa: ANN401 - each intent names its answer
        """Raises DriverError, of which InstallError is one, and kube.errors.Error."""
        match intent:
            case Command():
                return await self._command(intent)
            case Prepare():
                return await self._prepare(intent)
            case KeepToken():
                return await self._keep_token(intent)
            case Revoke():
                return await self._revoke(intent)
            case EnsureDMS():
                return await self._ensure_dms(intent)
            case EnsureHostNetwork():
                return await self.host_pods.ensure_hostnetwork(
                    intent.dpu, intent.host_name, self._pod_settings(), vf_count=intent.vf_count, mtu=intent.mtu,
                    taints=_taints(intent.dpu),
                )

    async def remains(self, dpu: DPU, cluster: Key | None) -> tuple[str, ...]:
        """What was made for a DPU, beside its Node: names, for people. Raises kube.errors.Error."""
        client, selector = self.clusters.host.client, _selector(dpu)
        namespace = dpu.metadata.namespace or ""
        found = self._idle_dms(dpu)
        found += [f"bf.cfg {installing.configuration(dpu)}"] if await asyncio.to_thread(self._path(dpu).exists) else []
        places: tuple[tuple[type[Object], str], ...] = (
            (core.Secret, namespace), (core.Secret, TOKEN_NAMESPACE), (core.Role, namespace),
            (core.RoleBinding, namespace),
        )
        for kind, where in places:
            listing = await client.list(kind, where, labels=selector)
            found += [f"{kind.resource.kind} {where}/{one.metadata.name}" for one in listing.items]
        connected = self.clusters.get(cluster) if cluster is not None else None
        if isinstance(connected, Cluster):
            tokens = await connected.client.list(core.Secret, TOKEN_NAMESPACE, labels=selector)
            found += [f"a token in DPUCluster {cluster}"] if tokens.items else []
        return tuple(found)

    async def _command(self, intent: Command) -> Any:  # noqa: ANN401 - the id of a task, Refused, or nothing
        interface = InstallInterface.GNOI if intent.card.target is not None else InstallInterface.REDFISH
        try:
            return await self.installers[interface].order(intent.card, intent.order)
        except InstallError as error:
            if not intent.tells:
                raise
            return Refused(
                why=str(error), busy=error.busy, doubtful=error.doubtful, silent=error.silence is not None
            )

    async def _prepare(self, intent: Prepare) -> Prepared | Unprepared:
        request = JoinRequest(dpu=intent.dpu, cluster=intent.cluster, with_agent=intent.with_agent)
        try:
            joining = await self.joiner.prepare(request)
        except JoinError as error:
            return Unprepared(reason=str(error.reason), why=str(error))
        rendered = await asyncio.to_thread(render.render, intent.flavor, _facts(intent, joining.join, joining.agent))
        problems = blocking(rendered.problems)
        if rendered.bf_cfg is None or problems:
            why = "; ".join(problem.message for problem in problems)
            return Unprepared(reason=FAILED_TO_GENERATE, why=why, is_final=True)
        try:
            async with self._writing:
                await asyncio.to_thread(_write, self._path(intent.dpu), rendered.bf_cfg)
        except OSError as error:
            where = f"{imageuri.FOLDER}/{installing.configuration(intent.dpu)}"
            why = f"{where} cannot be written to the volume: {error.strerror}; see that it has room and is writable"
            return Unprepared(reason=FAILED_TO_PUSH, why=why)
        return Prepared(file=f"{imageuri.FOLDER}/{installing.configuration(intent.dpu)}")

    async def _keep_token(self, intent: KeepToken) -> None:
        try:
            await self.joiner.prolong(intent.dpu, intent.cluster)
        except JoinError as error:
            raise DriverError(str(error)) from None

    async def _revoke(self, intent: Revoke) -> None:
        try:
            await self.joiner.revoke(intent.dpu, intent.cluster)
            if intent.for_good:
                await self.joiner.remove_agent_access(intent.dpu)
        except JoinError as error:
            raise DriverError(str(error)) from None
        if intent.for_good:
            await self.host_pods.remove_hostnetwork(intent.dpu)
            await self._remove_dms(intent.dpu)
        # Nobody fetches it again: the registry serves it to whoever knows its name.
        await asyncio.to_thread(self._path(intent.dpu).unlink, missing_ok=True)

    async def _remove_dms(self, dpu: DPU) -> None:
        """With the last DPU of the host."""
        dpunode = self._left_alone(dpu)
        if dpunode is not None:
            await self.host_pods.remove_dms(dpunode)

    def _left_alone(self, dpu: DPU) -> DPUNode | None:
        """The host of the DPU, when nothing else is installed through it."""
        cache, name = self.clusters.host.cache, dpu.spec.dpuNodeName if dpu.spec is not None else ""
        where = Key(dpu.metadata.namespace or "", name)
        others = [
            other for other in cache.by_index(DPU, watches.BY_NODE, str(where))
            if other.metadata.name != dpu.metadata.name and other.status.phase != Phase.DELETING
        ]
        return cache.get(DPUNode, where) if not others else None

    def _idle_dms(self, dpu: DPU) -> list[str]:
        """The pod that nobody needs any more, if it has not been deleted yet; its kubelet may take its time."""
        dpunode = self._left_alone(dpu)
        if dpunode is None:
            return []
        name = podbuild.dms_name(dpunode.metadata.name)
        pod = self.clusters.host.cache.get(core.Pod, Key(dpunode.metadata.namespace or "", name))
        if pod is None or pod.metadata.deletionTimestamp is not None or not podbuild.is_owned(pod, dpunode):
            return []
        return [f"Pod {name}"]

    async def _ensure_dms(self, intent: EnsureDMS) -> None:
        cache = self.clusters.host.cache
        node = cache.get(core.Node, Key("", intent.host_name))
        if node is None:
            raise DriverError(f"Node {intent.host_name} of the host does not exist")
        where = str(Key(intent.dpu.metadata.namespace or "", intent.dpunode.metadata.name))
        siblings = [d for d in cache.by_index(DPU, watches.BY_NODE, where) if d.metadata.uid != intent.dpu.metadata.uid]
        busy = any(sibling.status.phase in ADMITTED for sibling in siblings)
        await self.host_pods.ensure_dms(
            intent.dpunode, node, self._pod_settings(), _taints(intent.dpu), may_replace=not busy
        )

    def _pod_settings(self) -> podsettings.Settings:
        configs = self.clusters.host.cache.list(DPFOperatorConfig)
        return podsettings.of_config(configs[0] if configs else None, self.version, bfb_folder=str(self.folder))

    def _path(self, dpu: DPU) -> Path:
        return self.folder / imageuri.FOLDER / installing.configuration(dpu)


def _facts(intent: Prepare, join: facts.Join, agent: facts.AgentAccess | None) -> facts.DPUFacts:
    metadata, annotations = intent.dpu.metadata, intent.dpu.metadata.annotations or {}
    cluster = intent.dpu.spec.cluster if intent.dpu.spec is not None else None
    return facts.DPUFacts(
        namespace=metadata.namespace or "", name=metadata.name, uid=metadata.uid or "", join=join, agent=agent,
        install_interface=InstallInterface(intent.dpu.status.dpuInstallInterface or InstallInterface.GNOI),
        host_name=intent.host_name, node_labels=(cluster.nodeLabels if cluster is not None else None) or {},
        control_plane_mtu=intent.control_plane_mtu, high_speed_mtu=intent.high_speed_mtu,
        doca_version=intent.doca_version,
        skip_size_check=annotations.get(names.SKIP_BFCFG_SIZE_CHECK_ANNOTATION) == "true",
    )


def _taints(dpu: DPU) -> tuple[core.Taint, ...]:
    """Taints of the node effect: what works on the node stays."""
    effect = dpu.spec.nodeEffect if dpu.spec is not None else None
    return (effect.taint,) if effect is not None and effect.taint is not None else ()


def _selector(dpu: DPU) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(identity.labels(dpu).items()))


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, readable for us alone: there is a token in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


