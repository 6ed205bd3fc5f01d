"""The pods on host nodes, and where a DMS is reached (behaviour-provisioning.md 5.11, 6, 8 and 11)."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from tests.support import hostpods as some

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpunode import NodeDMSAddress
from dpf.api.meta import Object
from dpf.provisioning.hostpods import address, build, settings

NODE_TAINTS = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/unschedulable"]


def the_dms(**changes: object) -> core.Pod:
    changed = dataclasses.replace(some.SETTINGS, **changes)  # type: ignore[arg-type]
    return build.dms_pod(some.a_dpunode(), some.NODE, changed)


def the_network(vf_count: int = 16, mtu: int = 1500) -> core.Pod:
    return build.hostnetwork_pod(some.a_dpu(), some.NODE, some.SETTINGS, vf_count=vf_count, mtu=mtu)


def owner(obj: Object) -> tuple[str, str]:
    references = obj.metadata.ownerReferences or []
    assert len(references) == 1
    return references[0].kind, references[0].uid


def volumes(pod: core.Pod) -> dict[str, object]:
    return {str(v["name"]): {k: x for k, x in v.items() if k != "name"} for v in pod.spec.volumes or ()}


def test_dms_is_one_pod_of_the_host_on_its_node_and_network() -> None:
    pod = the_dms()

    assert (pod.metadata.namespace, pod.metadata.name) == ("dpf-operator-system", "worker-1-dms")
    assert owner(pod) == ("DPUNode", "uid-of-dpunode")
    assert (pod.spec.nodeName, pod.spec.hostNetwork) == ("worker-1", True)
    (dms,) = pod.spec.containers
    assert (dms.image, dms.securityContext) == ("pydpf/dpf-dms:v1.2.3", {"privileged": True})
    assert [port.containerPort for port in dms.ports or ()] == [9339]
    assert [c.name for c in pod.spec.initContainers or ()] == ["rshim-preflight", "devlink-grace-period"]
    assert {m.name: m.mountPath for m in dms.volumeMounts or ()} == {
        "dev": "/dev", "bfb": "/bfb", "tls": "/etc/dms/tls",
    }
    assert volumes(pod) == {
        "dev": {"hostPath": {"path": "/dev"}},
        "bfb": {"hostPath": {"path": "/bfb", "type": "DirectoryOrCreate"}},
        "tls": {"secret": {"secretName": "worker-1-dms-server-secret"}},
    }


def test_configuration_of_the_platform_reaches_the_pod() -> None:
    config = msgspec.convert({"spec": {
        "imagePullSecrets": ["pull"], "networking": {"dpuNodeOOBBridgeName": "br-x"},
        "provisioningController": {"bfbPVCName": "bfb", "dmsTimeout": 60},
    }}, DPFOperatorConfig)
    found = settings.of_config(config, "1.2.3")
    pod = build.dms_pod(some.a_dpunode(), some.NODE, found)
    network = build.hostnetwork_pod(some.a_dpu(), some.NODE, found, vf_count=1, mtu=1500)

    assert volumes(pod)["bfb"] == {"persistentVolumeClaim": {"claimName": "bfb"}}
    assert pod.spec.imagePullSecrets == network.spec.imagePullSecrets == [{"name": "pull"}]
    assert "60" in (pod.spec.containers[0].args or ())
    assert "br-x" in (network.spec.containers[0].args or ())


@pytest.mark.parametrize("pod", [the_dms(), the_network()], ids=["dms", "hostnetwork"])
def test_drain_and_taints_of_nodes_leave_the_pods_alone(pod: core.Pod) -> None:
    assert (pod.metadata.labels or {})["provisioning.dpu.nvidia.com/component"] == "hostagent"
    assert [t["key"] for t in pod.spec.tolerations or ()] == NODE_TAINTS
    assert all(t == {"key": t["key"], "operator": "Exists"} for t in pod.spec.tolerations or ())


def test_taints_of_the_effect_are_tolerated_and_make_no_other_pod() -> None:
    taints = [core.Taint(key="b", effect="NoExecute"), core.Taint(key="a", effect="NoSchedule", value="x")]
    pod = build.dms_pod(some.a_dpunode(), some.NODE, some.SETTINGS, [*taints, *taints])

    assert [t["key"] for t in pod.spec.tolerations or ()] == [*NODE_TAINTS, "a", "b"]
    assert not build.is_outdated(the_dms(), pod)


def test_host_network_is_a_pod_of_the_dpu() -> None:
    pod = the_network(vf_count=8, mtu=9000)

    assert pod.metadata.name == "worker-1-mt1-hostnetwork"
    assert owner(pod) == ("DPU", "uid-of-dpu")
    assert pod.spec.initContainers is not None
    assert pod.spec.initContainers[0].args == ["vfs", "--pci", "0000-0e-00", "--vfs", "8"]
    assert pod.spec.containers[0].args == [
        "network", "--pci", "0000-0e-00", "--vfs", "8", "--mtu", "9000", "--bridge", "br-dpu", "--ready-file",
        "/run/dpf/ready",
    ]
    assert pod.spec.containers[0].readinessProbe is not None


@pytest.mark.parametrize(("labels", "args"), [
    ({"provisioning.dpu.nvidia.com/dpudevice-pciAddress": "0000-2b-00"}, ["--pci", "0000-2b-00"]),
    ({"provisioning.dpu.nvidia.com/dpudevice-pf0-name": "ens2f0"}, ["--pf0", "ens2f0"]),
])
def test_card_is_known_by_labels_too(labels: dict[str, str], args: list[str]) -> None:
    dpu = some.a_dpu(pci=None, labels=labels)
    pod = build.hostnetwork_pod(dpu, some.NODE, some.SETTINGS, vf_count=1, mtu=1500)

    assert (pod.spec.containers[0].args or [])[1:3] == args


@pytest.mark.parametrize("changes", [
    {"dms_image": "other"}, {"hostagent_image": "other"}, {"bfb_claim": "claim"}, {"dms_timeout_s": 1},
    {"pull_secrets": ("p",)},
])
def test_other_settings_make_another_pod(changes: dict[str, object]) -> None:
    assert build.is_outdated(the_dms(), the_dms(**changes))


def test_same_settings_make_the_same_pod() -> None:
    assert not build.is_outdated(the_dms(), the_dms())
    assert build.is_outdated(the_network(), the_network(mtu=9000))


def test_names_stay_within_the_limit() -> None:
    assert len(build.hostnetwork_name("d" * 253)) <= 253
    assert build.hostnetwork_name("d" * 253) != build.hostnetwork_name("d" * 252)


@pytest.mark.parametrize(("told", "addresses", "expected"), [
    (NodeDMSAddress(ip="10.0.0.9", port=1), [("InternalIP", "10.0.0.1")], address.Address(host="10.0.0.9", port=1)),
    (None, [("Hostname", "w"), ("InternalIP", "10.0.0.1")], address.Address(host="10.0.0.1", port=9339)),
    (None, [("Hostname", "w")], address.Missing(why="Node worker-1 reports no address of type InternalIP yet")),
])
def test_dms_is_reached_where_the_host_is(
    told: NodeDMSAddress | None, addresses: list[tuple[str, str]], expected: object,
) -> None:
    assert address.dms_address(some.a_dpunode(address=told), some.a_node(*addresses)) == expected


def test_host_outside_the_cluster_needs_an_address() -> None:
    assert isinstance(address.dms_address(some.a_dpunode(), None), address.Missing)
