"""cloud-init's user-data for a DPU: which files it writes at the first boot, and what it runs, in which order.

Pure. Called by `render`. Source: behaviour-provisioning.md section 10, the flow in which cloud-init sets the DPU up by
itself; where the host cannot see how it goes, an agent reports beside it (`agentfiles`). Our own files come first and
those of the flavor last, so that a flavor may replace what it must not leave alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from dpf.api import provisioning
from dpf.api.dpuflavor import DPUFlavor, DPUFlavorSpec, FileOperation
from dpf.provisioning.flavor import agentfiles, firmware, layout, network, password, scripts
from dpf.provisioning.flavor.facts import DPUFacts

HEADER: Final = "#cloud-config\n"
HOST_LABEL: Final = f"{provisioning.GROUP}/host"

_GROUPS: Final = (
    "adm", "audio", "cdrom", "dialout", "dip", "floppy", "lxd", "netdev", "plugdev", "sudo", "video",
)
_MODULES: Final = ("br_netfilter",)
_KUBERNETES_SYSCTL: Final = (
    "net.bridge.bridge-nf-call-ip6tables = 1", "net.bridge.bridge-nf-call-iptables = 1", "net.ipv4.ip_forward = 1",
)
_OTHER_BREAKS: Final = frozenset("\x85\u2028\u2029")
"""YAML takes these for ends of lines, and does not give all of them back, unless they are escaped."""
_PUBLIC: Final = "0644"
_PRIVATE: Final = "0600"
_PROGRAM: Final = "0755"
_PRIVATE_PROGRAM: Final = "0700"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the first boot; `permissions` None leaves the mode to cloud-init."""

    path: str
    content: str
    permissions: str | None = _PUBLIC
    append: bool = False


class _Quoted(str):
    """A text that stands between single quotes in YAML."""

    __slots__ = ()


class _Words(list[str]):
    """A list that stands on one line in YAML."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are, wherever YAML can show them so; no references between equal values."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - the library's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _OTHER_BREAKS.intersection(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _quoted(dumper: yaml.SafeDumper, text: _Quoted) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="'")


def _words(dumper: yaml.SafeDumper, words: _Words) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", words, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Words, _words)
_Dumper.add_representer(_Quoted, _quoted)


def user_data(flavor: DPUFlavor, facts: DPUFacts) -> str:
    """The whole document."""
    return f"{HEADER}{_comment(flavor, facts)}{to_yaml(document(flavor, facts))}"


def document(flavor: DPUFlavor, facts: DPUFacts) -> dict[str, Any]:
    """The document as data, in the order in which it is written."""
    return {
        "hostname": facts.name,
        "preserve_hostname": False,
        "prefer_fqdn_over_hostname": True,
        **_user(flavor),
        "write_files": [_entry(file) for file in files(flavor, facts)],
        "runcmd": [_Words(command) for command in commands(flavor, facts)],
    }


def to_yaml(data: Any) -> str:  # noqa: ANN401 - plain data
    """YAML that reads back as `data`, byte for byte in every text."""
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**20)
    return text


def files(flavor: DPUFlavor, facts: DPUFacts) -> Iterator[File]:
    """Every file, in the order in which cloud-init writes them."""
    spec = flavor.spec or DPUFlavorSpec()
    yield from _base_files(facts)
    yield from _firmware_files(flavor, facts)
    yield from _kernel_files(spec)
    yield from _service_files(spec)
    yield from _agent_files(facts)
    if needs_restart(flavor, facts):
        text = scripts.restart(update_grub=scripts.has_kernel_settings(flavor), reboot=facts.additional_reboot)
        yield File(path=layout.RESTART_SCRIPT, content=text, permissions=_PROGRAM)
    yield from _config_files(spec)


def commands(flavor: DPUFlavor, facts: DPUFacts) -> Iterator[list[str]]:
    """What runs at the end of the first boot, in order. A command that fails does not stop the later ones."""
    spec = flavor.spec or DPUFlavorSpec()
    yield ["hostnamectl", "set-hostname", facts.name]
    yield from (["modprobe", module] for module in _MODULES)
    yield ["sysctl", "--system"]
    yield ["netplan", "apply"]
    yield ["systemctl", "stop", "kubelet.service"]
    yield ["rm", "-f", *layout.BUILT_IN_KUBELET_DROP_INS]
    yield [layout.DNS_SCRIPT]
    yield ["systemctl", "daemon-reload"]
    yield ["systemctl", "enable", "--now", "containerd.service"]
    if _endpoint(spec):
        yield [layout.CONTAINERD_SCRIPT]
    if spec.nvconfig:
        yield [layout.NVCONFIG_SCRIPT]
    yield ["systemctl", "enable", "kubelet.service"]
    yield _enabling(flavor, facts)
    if needs_restart(flavor, facts):
        yield [layout.RESTART_SCRIPT]


def needs_restart(flavor: DPUFlavor, facts: DPUFacts) -> bool:
    """Whether the first boot ends with the restart script."""
    return facts.additional_reboot or scripts.has_kernel_settings(flavor)


def labels(facts: DPUFacts) -> dict[str, str]:
    """Labels that the node registers itself with; the controller adds what a kubelet may not set."""
    host = {HOST_LABEL: facts.host_name} if facts.host_name else {}
    return {**host, **facts.node_labels}


def _enabling(flavor: DPUFlavor, facts: DPUFacts) -> list[str]:
    """Our units start now; where the DPU restarts anyway they start then, so that nothing is cut off in between."""
    units = [layout.SF_UNIT] if firmware.sf_count(flavor) else []
    units += [layout.OVS_UNIT] if flavor.spec is not None and _ovs_script(flavor.spec) else []
    units += [layout.JOIN_UNIT] if facts.agent is None else [layout.JOIN_UNIT, layout.AGENT_UNIT]
    now = [] if facts.additional_reboot else ["--now", "--no-block"]
    return ["systemctl", "enable", *now, *units]


def _base_files(facts: DPUFacts) -> Iterator[File]:
    """What every DPU needs in order to join."""
    yield File(path=layout.NETPLAN, content=to_yaml(network.netplan(facts)), permissions=_PRIVATE)
    yield File(path=layout.MODULES, content=_lines(_MODULES))
    yield File(path=layout.BASE_SYSCTL, content=_lines(_KUBERNETES_SYSCTL))
    yield File(path=layout.DNS_SCRIPT, content=scripts.dns(), permissions=_PROGRAM)
    if registered := labels(facts):
        yield File(path=layout.KUBELET_DROP_IN, content=scripts.kubelet_drop_in(registered))
    text = scripts.join(facts, network.interface(facts))
    yield File(path=layout.JOIN_SCRIPT, content=text, permissions=_PRIVATE_PROGRAM)
    yield File(path=f"{layout.UNIT_FOLDER}/{layout.JOIN_UNIT}", content=scripts.join_unit())


def _firmware_files(flavor: DPUFlavor, facts: DPUFacts) -> Iterator[File]:
    """Firmware settings, and the functions that they make possible."""
    entries = (flavor.spec.nvconfig if flavor.spec is not None else None) or ()
    if entries:
        yield File(path=layout.NVCONFIG_SCRIPT, content=scripts.nvconfig(entries), permissions=_PROGRAM)
    count = firmware.sf_count(flavor)
    if count:
        yield File(path=layout.SF_SCRIPT, content=scripts.sfs(facts.pf0_address, count), permissions=_PROGRAM)
        yield File(path=f"{layout.UNIT_FOLDER}/{layout.SF_UNIT}", content=scripts.sfs_unit())


def _kernel_files(spec: DPUFlavorSpec) -> Iterator[File]:
    if spec.sysctl is not None and spec.sysctl.parameters:
        yield File(path=layout.FLAVOR_SYSCTL, content=_lines(spec.sysctl.parameters))
    if spec.grub is not None and spec.grub.kernelParameters:
        yield File(path=layout.GRUB, content=scripts.grub(spec.grub.kernelParameters))


def _service_files(spec: DPUFlavorSpec) -> Iterator[File]:
    """Open vSwitch and containerd."""
    if script := _ovs_script(spec):
        yield File(path=layout.OVS_SCRIPT, content=script, permissions=_PROGRAM)
        yield File(path=f"{layout.UNIT_FOLDER}/{layout.OVS_UNIT}", content=scripts.ovs_unit())
    if endpoint := _endpoint(spec):
        yield File(path=layout.REGISTRY_HOSTS, content=scripts.registry_hosts(endpoint))
        yield File(path=layout.CONTAINERD_SCRIPT, content=scripts.containerd(), permissions=_PROGRAM)


def _agent_files(facts: DPUFacts) -> Iterator[File]:
    """The agent, and what it needs to reach the host cluster. Only the kubeconfig holds a secret."""
    if facts.agent is None:
        return
    yield File(path=layout.AGENT_CONFIG, content=to_yaml(agentfiles.configuration(facts, facts.agent)))
    content = to_yaml(agentfiles.kubeconfig(facts.agent))
    yield File(path=layout.AGENT_KUBECONFIG, content=content, permissions=_PRIVATE)
    yield File(path=f"{layout.UNIT_FOLDER}/{layout.AGENT_UNIT}", content=scripts.agent_unit())


def _config_files(spec: DPUFlavorSpec) -> Iterator[File]:
    """The flavor's own. Appending keeps the mode that it gave the file before: cloud-init would open it to everyone."""
    modes: dict[str, str | None] = {}
    for file in spec.configFiles or ():
        append = file.operation == FileOperation.APPEND
        modes[file.path] = file.permissions or (modes.get(file.path) if append else None)
        yield File(path=file.path, content=file.raw or "", permissions=modes[file.path], append=append)


def _entry(file: File) -> dict[str, Any]:
    mode = {"permissions": file.permissions} if file.permissions else {}
    append = {"append": True} if file.append else {}
    return {"path": file.path, **mode, **append, "content": file.content}


def _user(flavor: DPUFlavor) -> dict[str, Any]:
    """The user `ubuntu`: with the flavor's password, else with one that has to be changed at the first login."""
    given = password.of((flavor.spec.bfcfgParameters if flavor.spec is not None else None) or ())
    user: dict[str, Any] = {
        "name": password.USER, "lock_passwd": False, "groups": _Words(_GROUPS), "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
    }
    if given is not None:
        return {"users": [{**user, "passwd": _Quoted(given)}]}
    return {"users": [user], "chpasswd": {"expire": True, "list": f"{password.USER}:{password.USER}\n"}}


def _comment(flavor: DPUFlavor, facts: DPUFacts) -> str:
    """For whoever looks at the card one day."""
    version = f", DOCA {facts.doca_version}" if facts.doca_version else ""
    text = f"DPU {facts.namespace}/{facts.name}, DPUFlavor {flavor.metadata.name}{version}"
    return f"# {' '.join(text.split())}\n"


def _ovs_script(spec: DPUFlavorSpec) -> str:
    return (spec.ovs.rawConfigScript if spec.ovs is not None else None) or ""


def _endpoint(spec: DPUFlavorSpec) -> str:
    return (spec.containerdConfig.registryEndpoint if spec.containerdConfig is not None else None) or ""


def _lines(texts: tuple[str, ...] | list[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
