"""The pods that run on a host node for its DPUs. Pure. Called by `driver`.

Both are pinned to their node and go with their owner. A drain leaves them alone, and the taints of a node that is being
worked on do not drive them away: they are what works on it. Source: behaviour-provisioning.md 5.11, 6, 8 and 11.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from dpf.api import core, names
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Object, ObjectMeta, OwnerReference
from dpf.provisioning.hostpods.settings import Settings
from dpf.provisioning.hostpods.state import MTU_OPTION, PREFLIGHT
from dpf.provisioning.maintenance import drain
from dpf.runtime import digest

DMS_PORT: Final = 9339
DIGEST_ANNOTATION: Final = "provisioning.dpu.nvidia.com/pod-spec-digest"
"""What the pod was made from, so that a pod of another version is found out."""
TLS_FOLDER: Final = "/etc/dms/tls"
BFB_FOLDER: Final = "/bfb"
READY_FILE: Final = "/run/dpf/ready"
_GRACE_S: Final = 30
_TOLERATED: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable",
                     "node.kubernetes.io/unschedulable")
_NAME_LIMIT: Final = 253
_PRIVILEGED: Final = {"privileged": True}


def dms_name(dpunode: str) -> str:
    """The pod with the DMS of a host: one for all its DPUs."""
    return digest.fit(f"{dpunode}-dms", _NAME_LIMIT)


def dms_secret_name(dpunode: str) -> str:
    """The Secret with which the DMS of a host proves who it is."""
    return digest.fit(f"{dpunode}-dms-server-secret", _NAME_LIMIT)


def hostnetwork_name(dpu: str) -> str:
    """The pod that sets up the host's network for a DPU."""
    return digest.fit(f"{dpu}-hostnetwork", _NAME_LIMIT)


def dms_pod(dpunode: DPUNode, node: str, settings: Settings, taints: Iterable[core.Taint] = ()) -> core.Pod:
    """The management service of all cards of the host. `node` is its Node, `taints` are those of the node effects.

    Which card a call means, the call itself says: a pod that named the cards would have to be made anew whenever one of
    them is away for a moment.
    """
    bfb = {"persistentVolumeClaim": {"claimName": settings.bfb_claim}} if settings.bfb_claim else {
        "hostPath": {"path": settings.bfb_folder, "type": "DirectoryOrCreate"}
    }
    dev = core.VolumeMount(name="dev", mountPath="/dev")
    dms = core.Container(
        name="dms", image=settings.dms_image, args=[
            "-bind_address", f":{DMS_PORT}", "-auth", "cert", "-image_folder", BFB_FOLDER,
            "-exec_timeout", str(settings.dms_timeout_s), "-tls_cert_file", f"{TLS_FOLDER}/tls.crt",
            "-tls_key_file", f"{TLS_FOLDER}/tls.key", "-tls_ca_file", f"{TLS_FOLDER}/ca.crt",
        ],
        env=[_node_name()], ports=[core.ContainerPort(name="gnoi", containerPort=DMS_PORT, hostPort=DMS_PORT)],
        securityContext=_PRIVILEGED, volumeMounts=[
            dev, core.VolumeMount(name="bfb", mountPath=BFB_FOLDER),
            core.VolumeMount(name="tls", mountPath=TLS_FOLDER, readOnly=True),
        ],
    )
    spec = _spec(
        node, settings, taints, dms,
        inits=[_init(settings, PREFLIGHT, dev), _init(settings, "devlink-grace-period", dev)],
        volumes=[
            {"name": "dev", "hostPath": {"path": "/dev"}}, {"name": "bfb", **bfb},
            {"name": "tls", "secret": {"secretName": dms_secret_name(dpunode.metadata.name)}},
        ],
    )
    return _pod(dms_name(dpunode.metadata.name), "dms", dpunode, spec, dpunode.metadata.name)


def hostnetwork_pod(
    dpu: DPU, node: str, settings: Settings, *, vf_count: int, mtu: int, taints: Iterable[core.Taint] = (),
) -> core.Pod:
    """What makes virtual functions of the card on the host, and connects the first of them to the host's bridge."""
    card = _card(dpu)
    functions = [*card, "--vfs", str(vf_count)]
    sys = core.VolumeMount(name="sys", mountPath="/sys")
    daemon = core.Container(
        name="hostnetwork", image=settings.hostnetwork_image, args=[
            "network", *functions, MTU_OPTION, str(mtu), "--bridge", settings.bridge, "--ready-file", READY_FILE,
        ],
        env=[_node_name()], securityContext=_PRIVILEGED,
        volumeMounts=[sys, core.VolumeMount(name="run", mountPath=READY_FILE.rpartition("/")[0])],
        # On an emulated node a container finds its volumes below DPF_VOLUME_ROOT, which is set nowhere else.
        readinessProbe={
            "exec": {"command": ["sh", "-c", f'test -f "$DPF_VOLUME_ROOT{READY_FILE}"']}, "periodSeconds": 2,
        },
    )
    init = core.Container(
        name="virtual-functions", image=settings.hostnetwork_image, args=["vfs", *functions], env=[_node_name()],
        securityContext=_PRIVILEGED, volumeMounts=[sys],
    )
    spec = _spec(node, settings, taints, daemon, inits=[init], volumes=[
        {"name": "sys", "hostPath": {"path": "/sys"}}, {"name": "run", "emptyDir": {}},
    ])
    host = dpu.spec.dpuNodeName if dpu.spec is not None else ""
    return _pod(hostnetwork_name(dpu.metadata.name), "hostnetwork", dpu, spec, host)


def is_outdated(pod: core.Pod, wanted: core.Pod) -> bool:
    """Whether the pod was made from something else than `wanted`, and has to be made anew.

    Tolerations do not count: they follow the effect on the node, which changes while the pod has to stay.
    """
    return _digest_of(pod) != _digest_of(wanted)


def is_owned(pod: core.Pod, owner: Object) -> bool:
    """Whether the pod was made for `owner`, or for an earlier object of its name; else it is somebody else's."""
    kind = type(owner).resource.kind
    owners = pod.metadata.ownerReferences or ()
    return any(reference.kind == kind and reference.name == owner.metadata.name for reference in owners)


def owner_reference(owner: Object) -> OwnerReference:
    """What belongs to `owner` goes with it."""
    resource = type(owner).resource
    return OwnerReference(
        apiVersion=resource.api_version, kind=resource.kind, name=owner.metadata.name, uid=owner.metadata.uid or "",
        controller=True,
    )


def _card(dpu: DPU) -> list[str]:
    """Which card, by its address on the bus, else by the name that its first port has on the host."""
    address = dpu.spec.pciAddress if dpu.spec is not None else None
    labels = dpu.metadata.labels or {}
    address = address or labels.get(names.DPUDEVICE_PCI_ADDRESS_LABEL)
    if address:
        return ["--pci", address]
    return ["--pf0", labels.get(names.DPUDEVICE_PF0_NAME_LABEL, "")]


def _init(settings: Settings, command: str, *mounts: core.VolumeMount) -> core.Container:
    return core.Container(
        name=command, image=settings.hostagent_image, args=[command], env=[_node_name()],
        securityContext=_PRIVILEGED, volumeMounts=list(mounts),
    )


def _node_name() -> core.EnvVar:
    return core.EnvVar(name="NODE_NAME", valueFrom={"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}})


def _spec(
    node: str, settings: Settings, taints: Iterable[core.Taint], container: core.Container, *,
    inits: list[core.Container], volumes: list[dict[str, Any]],
) -> core.PodSpec:
    return core.PodSpec(
        nodeName=node, hostNetwork=True, restartPolicy="Always", terminationGracePeriodSeconds=_GRACE_S,
        initContainers=inits, containers=[container], volumes=volumes, tolerations=_tolerations(taints),
        imagePullSecrets=[{"name": name} for name in settings.pull_secrets] or None,
    )


def _tolerations(taints: Iterable[core.Taint]) -> list[dict[str, Any]]:
    nodes = [{"key": key, "operator": "Exists"} for key in _TOLERATED]
    effects = {taint.key: {"key": taint.key, "operator": "Exists"} for taint in taints if taint.key not in _TOLERATED}
    return [*nodes, *(effects[key] for key in sorted(effects))]


def _pod(name: str, component: str, owner: Object, spec: core.PodSpec, dpunode: str) -> core.Pod:
    reference = owner_reference(owner)
    labels = {
        names.COMPONENT_LABEL: component, names.PROVISIONING_COMPONENT_LABEL: drain.HOST_AGENT,
        names.DPUNODE_NAME_LABEL: dpunode,
    }
    made_from = msgspec.to_builtins(spec)
    del made_from["tolerations"]
    return core.Pod(
        metadata=ObjectMeta(
            name=name, namespace=owner.metadata.namespace, labels=labels, ownerReferences=[reference],
            annotations={DIGEST_ANNOTATION: digest.short(made_from, reference.uid)},
        ),
        spec=spec,
    )


def _digest_of(pod: core.Pod) -> str | None:
    return (pod.metadata.annotations or {}).get(DIGEST_ANNOTATION)
