"""Where things are on the installed DPU: paths and names that several parts of the rendering agree on.

Pure constants. Sources: behaviour-provisioning.md section 10 (names of scripts, drop-ins and the marker).
"""

from __future__ import annotations

from typing import Final

FOLDER: Final = "/opt/dpf"
JOIN_MARKER: Final = f"{FOLDER}/joined_cluster_successfully"
JOIN_SCRIPT: Final = f"{FOLDER}/join_cluster.sh"
SF_SCRIPT: Final = f"{FOLDER}/configure-sfs.sh"
NVCONFIG_SCRIPT: Final = f"{FOLDER}/configure-nvconfig.sh"
OVS_SCRIPT: Final = f"{FOLDER}/ovs.sh"
DNS_SCRIPT: Final = f"{FOLDER}/clean-dns.sh"
CONTAINERD_SCRIPT: Final = f"{FOLDER}/configure-containerd.sh"
RESTART_SCRIPT: Final = f"{FOLDER}/restart.sh"

AGENT_CONFIG: Final = f"{FOLDER}/dpuagent.conf"
AGENT_KUBECONFIG: Final = f"{FOLDER}/bootstrap-kubeconfig"

JOIN_UNIT: Final = "dpf-join-cluster.service"
SF_UNIT: Final = "dpf-configure-sfs.service"
OVS_UNIT: Final = "dpf-ovs.service"
AGENT_UNIT: Final = "dpu-agent.service"
UNIT_FOLDER: Final = "/etc/systemd/system"

KUBELET_DROP_IN: Final = f"{UNIT_FOLDER}/kubelet.service.d/98-dpf.conf"
"""Sorts behind kubeadm's `10-kubeadm.conf`, whose settings it completes."""
BUILT_IN_KUBELET_DROP_INS: Final = tuple(
    f"{folder}/systemd/system/kubelet.service.d/90-kubelet-bluefield.conf" for folder in ("/etc", "/usr/lib")
)
"""A BFB ships a kubelet that runs without a cluster; these make it so."""

NETPLAN: Final = "/etc/netplan/99-dpf.yaml"
MODULES: Final = "/etc/modules-load.d/dpf.conf"
BASE_SYSCTL: Final = "/etc/sysctl.d/98-dpf-kubernetes.conf"
"""Sorts before the flavor's own, so that the flavor has the last word."""
FLAVOR_SYSCTL: Final = "/etc/sysctl.d/99-dpf.conf"
GRUB: Final = "/etc/default/grub.d/99-dpf.cfg"
REGISTRY: Final = "nvcr.io"
REGISTRY_HOSTS: Final = f"/etc/containerd/certs.d/{REGISTRY}/hosts.toml"

COMMUNICATION_BRIDGE: Final = "br-comm-ch"
OOB_PORT: Final = "oob_net0"
RSHIM_PORT: Final = "tmfifo_net0"
RSHIM_ADDRESS: Final = "192.168.100.2/30"
RSHIM_HOST: Final = "192.168.100.1"

OWN_PATHS: Final = frozenset({
    JOIN_MARKER, JOIN_SCRIPT, SF_SCRIPT, NVCONFIG_SCRIPT, OVS_SCRIPT, DNS_SCRIPT, CONTAINERD_SCRIPT, RESTART_SCRIPT,
    KUBELET_DROP_IN, AGENT_CONFIG, AGENT_KUBECONFIG,
    *(f"{UNIT_FOLDER}/{unit}" for unit in (JOIN_UNIT, SF_UNIT, OVS_UNIT, AGENT_UNIT)),
})
"""What a flavor's files must leave alone: a DPU without it never becomes a node."""
