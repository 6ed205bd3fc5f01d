"""Has the pods of a host run, and takes them away. Called by the DPU controller's `apply`.

Idempotent: what is there as it should be is left alone. What a pod that exists is doing, `state` tells from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Object, OwnerReference
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.certificates.issuer import DMS_CLIENT_SECRET
from dpf.provisioning.hostpods import address, build, state
from dpf.provisioning.hostpods.settings import Settings
from dpf.runtime.reconciler import DriverError, Permission

CERTIFICATE_LIFE: Final = timedelta(hours=24)
"""Of a DMS's certificate; whoever issues it renews it in time (behaviour-provisioning.md 8)."""
PERMISSIONS: Final = (Permission(kind=core.Pod, verbs=("get", "list", "watch", "create", "delete")),)
"""What whoever uses this needs in the host cluster, beside what the issuer of certificates needs."""


class Issuer(Protocol):
    """What makes the Secret with which a server proves who it is; `provisioning.certificates` has one."""

    async def server_secret(
        self, name: str, namespace: str, addresses: Sequence[str], lifetime: timedelta, owner: OwnerReference | None,
    ) -> object:
        """Have the Secret hold a valid certificate for these addresses: tls.crt, tls.key and ca.crt."""

    async def client(self, name: str) -> object:
        """Have the Secret `name` hold a valid certificate of our own, to show to a DMS."""


class HostPods:
    """Pods in the host cluster."""

    def __init__(self, host: Client, issuer: Issuer) -> None:
        self._host = host
        self._issuer = issuer

    async def ensure_dms(
        self, dpunode: DPUNode, node: core.Node, settings: Settings, taints: Iterable[core.Taint] = (), *,
        may_replace: bool = True,
    ) -> None:
        """Have the DMS of the host run, with a valid certificate.

        A DMS that somebody else runs is left to them (`spec.nodeDMSAddress`). Without `may_replace` a DMS of another
        version stays: another DPU of the host is being installed through it. Raises kube.errors.Error, and DriverError
        when the Node's address is not known yet or the pod's name is taken.
        """
        if dpunode.spec is not None and dpunode.spec.nodeDMSAddress is not None:
            return
        found = address.dms_address(dpunode, node)
        if isinstance(found, address.Missing):
            raise DriverError(found.why)
        await self._issuer.client(DMS_CLIENT_SECRET)
        name = build.dms_secret_name(dpunode.metadata.name)
        await self._issuer.server_secret(
            name, dpunode.metadata.namespace or "", [found.host], CERTIFICATE_LIFE, build.owner_reference(dpunode)
        )
        wanted = build.dms_pod(dpunode, node.metadata.name, settings, taints)
        await self._ensure(
            wanted, dpunode, lambda pod: state.was_shut_down(pod) or (may_replace and build.is_outdated(pod, wanted))
        )

    async def ensure_hostnetwork(
        self, dpu: DPU, node: str, settings: Settings, *, vf_count: int, mtu: int, taints: Iterable[core.Taint] = (),
    ) -> None:
        """Have the host's side of the card set up. Raises kube.errors.Error, DriverError when its name is taken."""
        wanted = build.hostnetwork_pod(dpu, node, settings, vf_count=vf_count, mtu=mtu, taints=taints)
        await self._ensure(wanted, dpu, lambda pod: _has_ended(pod) or build.is_outdated(pod, wanted))

    async def remove_dms(self, dpunode: DPUNode) -> bool:
        """Take the DMS away, when no DPU of the host needs it any more; whether it has gone.

        Raises kube.errors.Error.
        """
        return await self._remove(build.dms_name(dpunode.metadata.name), dpunode)

    async def remove_hostnetwork(self, dpu: DPU) -> bool:
        """Take back the host's side of the card; whether it has gone. Raises kube.errors.Error."""
        return await self._remove(build.hostnetwork_name(dpu.metadata.name), dpu)

    async def _ensure(self, wanted: core.Pod, owner: Object, is_over: Callable[[core.Pod], bool]) -> None:
        """A pod of another version goes, and comes back in a later pass: its name is taken until then."""
        name, namespace = wanted.metadata.name, wanted.metadata.namespace or ""
        pod = await self._find(name, namespace)
        if pod is None:
            try:
                await self._host.create(wanted)
            except errors.AlreadyExists:
                return  # A pass that was cut short has made it; the next look judges it.
        elif not build.is_owned(pod, owner):
            raise DriverError(f"Pod {namespace}/{name} is somebody else's. Next step: delete it", retryable=False)
        elif pod.metadata.deletionTimestamp is None and is_over(pod):
            await self._delete(pod)

    async def _remove(self, name: str, owner: Object) -> bool:
        pod = await self._find(name, owner.metadata.namespace or "")
        if pod is None or not build.is_owned(pod, owner):
            return True
        if pod.metadata.deletionTimestamp is None:
            await self._delete(pod)
        return False

    async def _find(self, name: str, namespace: str) -> core.Pod | None:
        try:
            return await self._host.get(core.Pod, name, namespace)
        except errors.NotFound:
            return None

    async def _delete(self, pod: core.Pod) -> None:
        try:
            await self._host.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return  # It went, and another one may have its name: nothing of ours is left to delete.


def _has_ended(pod: core.Pod) -> bool:
    return pod.status.phase in ("Failed", "Succeeded")
