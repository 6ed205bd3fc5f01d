"""Pods on hosts are made once, kept, made anew when they have to be, and never somebody else's."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from cryptography import x509
from tests.support import hostpods as some
from tests.support.clock import FakeClock
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpunode import NodeDMSAddress
from dpf.api.meta import ObjectMeta
from dpf.kube.memory import MemoryCluster
from dpf.provisioning.certificates.issuer import Issuer
from dpf.provisioning.hostpods.driver import HostPods
from dpf.provisioning.hostpods.settings import Settings
from dpf.runtime.reconciler import DriverError

NODE = some.a_node(("InternalIP", "10.0.0.1"))
NEWER = dataclasses.replace(some.SETTINGS, dms_image="newer", hostnetwork_image="newer")


class Stage:
    """A host cluster, and the driver over it."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.host = MemoryCluster(now=clock.now)
        self.host.add(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)), some.a_dpunode(), some.a_dpu())
        self.pods = HostPods(self.host, Issuer(self.host, NAMESPACE, clock))

    async def dms(self, settings: Settings = some.SETTINGS, *, may_replace: bool = True) -> None:
        await self.pods.ensure_dms(some.a_dpunode(), NODE, settings, may_replace=may_replace)

    async def network(self, settings: Settings = some.SETTINGS) -> None:
        await self.pods.ensure_hostnetwork(some.a_dpu(), some.NODE, settings, vf_count=4, mtu=1500)

    async def report(self, name: str, **status: str) -> None:
        await self.host.patch(core.Pod, name, NAMESPACE, patch={"status": status}, subresource="status")

    async def end(self) -> None:
        """The node ends the pods that are being deleted."""
        for pod in self.host.objects(core.Pod):
            if pod.metadata.deletionTimestamp is not None:
                await self.host.delete(core.Pod, pod.metadata.name, NAMESPACE, grace_period_s=0)

    @property
    def images(self) -> dict[str, str]:
        return {pod.metadata.name: pod.spec.containers[0].image for pod in self.host.objects(core.Pod)}

    @property
    def writes(self) -> int:
        return len(self.host.writes)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_dms_has_a_certificate_for_the_address_of_its_node(stage: Stage) -> None:
    await stage.dms()

    secret = await stage.host.get(core.Secret, "worker-1-dms-server-secret", NAMESPACE)
    assert secret.data is not None
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret.data["tls.crt"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert {"tls.crt", "tls.key", "ca.crt"} <= set(secret.data)
    assert [owner.kind for owner in secret.metadata.ownerReferences or ()] == ["DPUNode"]
    assert stage.images == {"worker-1-dms": "pydpf/dpf-dms:v1.2.3"}


async def test_what_is_there_is_left_alone(stage: Stage) -> None:
    await stage.dms()
    await stage.network()
    writes = stage.writes
    for phase in ("Pending", "Running"):
        await stage.report("worker-1-dms", phase=phase)
        await stage.dms()
        await stage.network()

    assert stage.writes == writes + 2


async def test_pod_of_another_version_is_made_anew(stage: Stage) -> None:
    await stage.dms()
    await stage.network()
    for _ in range(3):
        await stage.dms(NEWER)
        await stage.network(NEWER)
    assert set(stage.images.values()) == {"pydpf/dpf-dms:v1.2.3", "pydpf/dpf-hostnetwork:v1.2.3"}, "it still ends"
    await stage.end()
    await stage.dms(NEWER)
    await stage.network(NEWER)

    assert stage.images == {"worker-1-dms": "newer", "worker-1-mt1-hostnetwork": "newer"}


async def test_dms_through_which_a_sibling_is_installed_stays(stage: Stage) -> None:
    await stage.dms()
    await stage.dms(NEWER, may_replace=False)
    await stage.end()

    assert stage.images == {"worker-1-dms": "pydpf/dpf-dms:v1.2.3"}


@pytest.mark.parametrize(("reason", "is_new"), [("Terminated", True), ("Evicted", False)])
async def test_dms_that_went_down_with_its_host_is_made_anew(stage: Stage, reason: str, is_new: bool) -> None:
    await stage.dms()
    before = stage.host.objects(core.Pod)[0].metadata.uid
    await stage.report("worker-1-dms", phase="Failed", reason=reason)
    for _ in range(2):
        await stage.dms()

    assert (stage.host.objects(core.Pod)[0].metadata.uid != before) == is_new


async def test_pod_of_somebody_else_is_not_touched(stage: Stage) -> None:
    stage.host.add(core.Pod(metadata=ObjectMeta(name="worker-1-dms", namespace=NAMESPACE)))

    with pytest.raises(DriverError, match="worker-1-dms is somebody else's"):
        await stage.dms()
    assert await stage.pods.remove_dms(some.a_dpunode())
    assert len(stage.host.objects(core.Pod)) == 1


async def test_dms_that_somebody_else_runs_is_used(stage: Stage) -> None:
    await stage.pods.ensure_dms(some.a_dpunode(address=NodeDMSAddress(ip="10.9.9.9", port=1)), NODE, some.SETTINGS)

    assert stage.writes == 0


async def test_node_without_an_address_is_waited_for(stage: Stage) -> None:
    with pytest.raises(DriverError, match="reports no address") as caught:
        await stage.pods.ensure_dms(some.a_dpunode(), some.a_node(), some.SETTINGS)

    assert caught.value.retryable
    assert stage.writes == 0


async def test_removal_says_when_nothing_is_left(stage: Stage) -> None:
    await stage.dms()
    await stage.network()

    assert not await stage.pods.remove_dms(some.a_dpunode())
    assert not await stage.pods.remove_hostnetwork(some.a_dpu())
    assert not await stage.pods.remove_dms(some.a_dpunode()), "it still ends"
    await stage.end()
    assert await stage.pods.remove_dms(some.a_dpunode())
    assert await stage.pods.remove_hostnetwork(some.a_dpu())
    assert stage.images == {}
