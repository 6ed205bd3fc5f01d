"""Keepalived of a DPUCluster: one pod on each selected node of the host cluster, one of which carries the address.

Pure. Every node starts as BACKUP with the last octet of its own address as its priority, and gives the address up when
the API server does not answer through it. What a node has of its own is filled in when its pod starts, so that all
nodes share one ConfigMap. Source: behaviour-provisioning.md section 12.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final

from dpf.api import core
from dpf.api.dpucluster import DPUCluster, Keepalived
from dpf.provisioning.clustermanager.kamaji import build
from dpf.runtime import digest

IMAGE: Final = "docker.io/osixia/keepalived:2.0.20"
"""Has keepalived and curl; the one that the high-availability guide of kubeadm uses."""
CONFIG_ANNOTATION: Final = "provisioning.dpu.nvidia.com/keepalived-config"
"""On the pods: digest of the ConfigMap, so that a change of it restarts them."""
SPEC_ANNOTATION: Final = "provisioning.dpu.nvidia.com/keepalived-spec"
"""On the DaemonSet: digest of what was written, so that a node selector that lost a key is noticed."""
APP_LABEL: Final = "app.kubernetes.io/name"
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_.@:-]{1,15}")
_MOUNT: Final = "/etc/keepalived-dpf"
_CONFIG: Final = "keepalived.conf"
_START: Final = "start.sh"

_START_SCRIPT: Final = f"""\
#!/bin/sh
# Fills in what this node has of its own and becomes keepalived.
set -eu
case "$HOST_IP" in
*:*) host="[$HOST_IP]" priority=100 ;;
*) host="$HOST_IP" priority="${{HOST_IP##*.}}" ;;
esac
# 0 gives the address away, and 255 is for whoever owns it.
[ "$priority" -ge 1 ] || priority=1
[ "$priority" -le 254 ] || priority=254
sed -e "s|@HOST@|$host|g" -e "s|@PRIORITY@|$priority|g" {_MOUNT}/{_CONFIG} > /tmp/{_CONFIG}
exec keepalived --dont-fork --log-console --use-file /tmp/{_CONFIG}
"""


def name_of(cluster: DPUCluster) -> str:
    """Name of the ConfigMap and of the DaemonSet."""
    return f"{cluster.metadata.name}-keepalived"


def problems(asked: Keepalived) -> Sequence[str]:
    """What is wrong with spec.clusterEndpoint.keepalived, for people: its texts end up in a configuration file."""
    where = "spec.clusterEndpoint.keepalived"
    found = []
    if not _is_address(asked.vip):
        found.append(f"{where}.vip {asked.vip!r} is not an IP address. Next step: set a free address of the network")
    if not _INTERFACE.fullmatch(asked.interface):
        found.append(
            f"{where}.interface {asked.interface!r} is not a name of a network interface. "
            "Next step: set the interface of the nodes that is in the network of the virtual address"
        )
    return found


def config(cluster: DPUCluster, asked: Keepalived, node_port: int) -> core.ConfigMap:
    """The ConfigMap: the configuration with two blanks, and the script that fills them in."""
    return core.ConfigMap(
        metadata=build.metadata(cluster, name_of(cluster)),
        data={_CONFIG: _configuration(cluster.metadata.name, asked, node_port), _START: _START_SCRIPT},
    )


def daemonset(cluster: DPUCluster, asked: Keepalived, config: core.ConfigMap, image: str = IMAGE) -> core.DaemonSet:
    """The DaemonSet over the nodes that `asked` selects."""
    labels = {APP_LABEL: "keepalived", build.TENANT_LABEL: cluster.metadata.name}
    pod: dict[str, Any] = {
        "hostNetwork": True,
        "automountServiceAccountToken": False,
        "tolerations": [dict(toleration) for toleration in build.TOLERATIONS],
        "containers": [_container(image)],
        "volumes": [{"name": "config", "configMap": {"name": config.metadata.name}}],
    }
    if asked.nodeSelector:
        pod["nodeSelector"] = dict(asked.nodeSelector)
    spec = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, "annotations": {CONFIG_ANNOTATION: digest.short(config.data)}},
            "spec": pod,
        },
    }
    annotations = {SPEC_ANNOTATION: digest.short(spec)}
    return core.DaemonSet(metadata=build.metadata(cluster, name_of(cluster), annotations=annotations), spec=spec)


def _container(image: str) -> dict[str, Any]:
    return {
        "name": "keepalived",
        "image": image,
        "command": ["/bin/sh", f"{_MOUNT}/{_START}"],
        "env": [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
        "securityContext": {"capabilities": {"add": ["NET_ADMIN", "NET_BROADCAST", "NET_RAW"]}},
        "volumeMounts": [{"name": "config", "mountPath": _MOUNT, "readOnly": True}],
    }


def _configuration(name: str, asked: Keepalived, node_port: int) -> str:
    check = "/usr/bin/curl --silent --fail --insecure --output /dev/null --max-time 2"
    return f"""\
global_defs {{
    enable_script_security
    script_user root
}}

vrrp_script apiserver {{
    script "{check} https://@HOST@:{node_port}/livez"
    interval 2
    rise 3
    fall 2
}}

vrrp_instance {name} {{
    state BACKUP
    interface {asked.interface}
    virtual_router_id {asked.virtualRouterID}
    priority @PRIORITY@
    advert_int 1
    virtual_ipaddress {{
        {ipaddress.ip_address(asked.vip)} dev {asked.interface}
    }}
    track_script {{
        apiserver
    }}
}}
"""


def _is_address(text: str) -> bool:
    try:
        return "%" not in str(ipaddress.ip_address(text))
    except ValueError:
        return False
