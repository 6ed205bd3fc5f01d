"""Shell scripts and units of an installed DPU, as texts.

Pure. Called by `cloudinit`. Everything that comes from a user is quoted for the shell; nothing is expanded here that
should be expanded on the DPU. Source: behaviour-provisioning.md section 10.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from dpf.api.dpuflavor import DPUFlavor, NVConfig
from dpf.provisioning.flavor import firmware, layout
from dpf.provisioning.flavor.facts import DPUFacts

_JOIN: Final = """\
#!/bin/bash
# Makes this DPU a node of its cluster, once. One attempt: systemd starts it again after 5 s until it succeeds.
set -u

marker={marker}
interface={interface}

if [ -s /etc/kubernetes/kubelet.conf ]; then
    echo "this DPU has its certificate already"
    touch "$marker"
    exit 0
fi
if [ -z "$(ip -4 -o address show dev "$interface" scope global)" ]; then
    echo "no IPv4 address on $interface yet"
    exit 1
fi
if ! {command}; then
    echo "kubeadm join failed: removing what it left, for the next attempt" >&2
    kubeadm reset --force
    exit 1
fi
touch "$marker"
"""

_JOIN_UNIT: Final = f"""\
[Unit]
Description=Join the DPU cluster
After=network.target containerd.service
ConditionPathExists=!{layout.JOIN_MARKER}
StartLimitIntervalSec=0

[Service]
ExecStart={layout.JOIN_SCRIPT}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""

_AGENT_UNIT: Final = f"""\
[Unit]
Description=Agent of the DPU, reports to the host cluster
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/env dpu-agent --config {layout.AGENT_CONFIG}
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
"""

_ONESHOT_UNIT: Final = """\
[Unit]
Description={description}
After={after}
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command}
Restart=on-failure
RestartSec=30

[Install]
WantedBy=multi-user.target
"""

_SFS: Final = """\
#!/bin/bash
# Makes the scalable functions, which do not outlive a restart. Those that are there already stay as they are.
set -u

device={device}
count={count}
present=$(/opt/mellanox/iproute2/sbin/mlxdevm port show)
failed=0

for ((number = 0; number < count; number++)); do
    if grep -Eq "^pci/$device/.* sfnum $number( |$)" <<<"$present"; then
        continue
    fi
    /sbin/mlnx-sf --action create --enable-trust --device "$device" --sfnum "$number" || failed=1
done
exit "$failed"
"""

_NVCONFIG: Final = """\
#!/bin/bash
# Settings of the firmware. They count after the next reset of the card.
set -u

failed=0

configure() {{
    local device=$1
    shift
    if [ ! -e "$device" ]; then
        echo "there is no device $device" >&2
        failed=1
        return
    fi
    mlxconfig --dev "$device" --yes "$@" || failed=1
}}

mst start
{calls}exit "$failed"
"""

_DNS: Final = f"""\
#!/bin/bash
# The name server of the RShim link answers only while somebody configures the DPU from its host.
set -u

if [ -f /etc/resolv.conf ] && [ ! -L /etc/resolv.conf ]; then
    sed -i '/^nameserver[[:space:]]*{re.escape(layout.RSHIM_HOST)}[[:space:]]*$/d' /etc/resolv.conf
fi
if command -v resolvectl >/dev/null; then
    resolvectl revert {layout.RSHIM_PORT} || true
fi
"""

_CONTAINERD: Final = r"""#!/bin/bash
# Makes containerd read the addresses of registries from a folder.
set -u

config=/etc/containerd/config.toml
folder=/etc/containerd/certs.d
table='^[[:space:]]*\[plugins\..*\.registry\][[:space:]]*$'

mkdir -p "${config%/*}"
if [ ! -s "$config" ]; then
    containerd config default >"$config"
fi
if grep -Eq '^[[:space:]]*config_path[[:space:]]*=' "$config"; then
    sed -i -E "s|^([[:space:]]*config_path[[:space:]]*=).*|\1 \"$folder\"|" "$config"
elif grep -Eq "$table" "$config"; then
    sed -i -E "/$table/a\  config_path = \"$folder\"" "$config"
else
    printf '\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "%s"\n' "$folder" >>"$config"
fi
systemctl restart containerd.service
"""

_GLOBS: Final = {"*": "/dev/mst/*_pciconf*", "p0": "/dev/mst/*_pciconf0", "p1": "/dev/mst/*_pciconf0.1"}
"""Devices of a BlueField as `mst start` makes them, seen from its Arm cores."""

_LABEL_PREFIX: Final = r"[a-z0-9]([a-z0-9.\-]{0,251}[a-z0-9])?/"
_LABEL_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9_.\-]{0,61}[A-Za-z0-9])?"
_LABEL: Final = re.compile(rf"({_LABEL_PREFIX})?{_LABEL_NAME}=({_LABEL_NAME})?")
_EXPANDED: Final = re.compile(r"[$`\"\\]")
_KUBERNETES_DOMAINS: Final = ("kubernetes.io", "k8s.io")


def join(facts: DPUFacts, interface: str) -> str:
    """The script that joins the cluster once `interface` has an address. It holds the token."""
    return _JOIN.format(
        marker=layout.JOIN_MARKER, interface=shlex.quote(interface), command=shlex.join(facts.join.command(facts.name))
    )


def join_unit() -> str:
    """Runs the join script until it succeeds."""
    return _JOIN_UNIT


def agent_unit() -> str:
    """Runs the agent, which comes with the BFB, at each boot."""
    return _AGENT_UNIT


def sfs(device: str, count: int) -> str:
    """Makes the functions 0 to `count` - 1 on the PCI address `device`."""
    return _SFS.format(device=shlex.quote(device), count=count)


def sfs_unit() -> str:
    """Runs the script for scalable functions at each boot."""
    return _ONESHOT_UNIT.format(
        description="Scalable functions of the DPU", after="openibd.service", command=layout.SF_SCRIPT
    )


def ovs_unit() -> str:
    """Runs the flavor's Open vSwitch script once for each boot; it may be without a first line that names a shell."""
    return _ONESHOT_UNIT.format(
        description="Open vSwitch settings of the DPUFlavor", after=f"openvswitch-switch.service {layout.SF_UNIT}",
        command=f"/bin/bash {layout.OVS_SCRIPT}",
    )


def nvconfig(entries: Iterable[NVConfig]) -> str:
    """Sets the firmware settings of every entry on its devices."""
    return _NVCONFIG.format(calls="".join(_configure(entry) for entry in entries if entry.parameters))


def dns() -> str:
    """Takes the RShim link's name server out of the resolver."""
    return _DNS


def containerd() -> str:
    """Makes containerd use the mirror that `registry_hosts` describes."""
    return _CONTAINERD


def registry_hosts(endpoint: str) -> str:
    """containerd's hosts.toml for nvcr.io: `endpoint` first, TLS not verified (section 10)."""
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    return (
        f"server = {json.dumps(f'https://{layout.REGISTRY}')}\n\n[host.{json.dumps(url.rstrip('/'))}]\n"
        '  capabilities = ["pull", "resolve"]\n  skip_verify = true\n'
    )


def restart(*, update_grub: bool, reboot: bool) -> str:
    """The end of the first boot: a new boot menu, and a restart where it was asked for."""
    lines = ["#!/bin/bash", "# The end of the first boot.", "set -u", ""]
    lines += ["update-grub"] if update_grub else []
    lines += ["systemctl reboot"] if reboot else []
    return "\n".join(lines) + "\n"


def kubelet_drop_in(labels: Mapping[str, str]) -> str:
    """Labels that the node registers itself with.

    EnvironmentFile is set anew, because /etc/default/kubelet would have the last word over Environment.
    """
    given = ",".join(sorted(f"{key}={value}" for key, value in labels.items() if may_register(key)))
    return (
        "[Service]\nEnvironmentFile=\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n"
        f'Environment="KUBELET_EXTRA_ARGS=--node-labels={given}"\n'
    )


def may_register(key: str) -> bool:
    """Whether a kubelet starts with this label: it refuses Kubernetes' own, which the controller adds to the Node."""
    domain = key.partition("/")[0] if "/" in key else ""
    return not any(domain == own or domain.endswith(f".{own}") for own in _KUBERNETES_DOMAINS)


def is_label(key: str, value: str) -> bool:
    """Whether Kubernetes accepts it as a label, which also keeps it harmless in a unit."""
    return _LABEL.fullmatch(f"{key}={value}") is not None


def grub(parameters: Iterable[str]) -> str:
    """The file that gives the kernel its parameters; a shell reads it."""
    line = " ".join(" ".join(text.split()) for text in parameters)
    escaped = _EXPANDED.sub(r"\\\g<0>", line)
    return f'GRUB_CMDLINE_LINUX="{escaped}"\n'


def _configure(entry: NVConfig) -> str:
    force = ["--force"] if entry.force else []
    words = shlex.join([*force, "set", *(entry.parameters or ())])
    pattern = _GLOBS.get(firmware.device_of(entry.device), _GLOBS["*"])
    return f'for device in {pattern}; do\n    configure "$device" {words}\ndone\n'


def has_kernel_settings(flavor: DPUFlavor) -> bool:
    """Whether the boot menu has to be written anew: kernel parameters or sysctl (section 10)."""
    spec = flavor.spec
    grub_set = spec is not None and spec.grub is not None and bool(spec.grub.kernelParameters)
    sysctl_set = spec is not None and spec.sysctl is not None and bool(spec.sysctl.parameters)
    return grub_set or sysctl_set
