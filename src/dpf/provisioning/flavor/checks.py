"""What is wrong with a flavor by itself, beyond what the schema and its CEL rules say.

Pure. Called by admission, by the DPU controller and by `dpfctl`. Sources: api-provisioning.md section 6 (texts),
behaviour-provisioning.md section 10. What depends on a card is in `preflight`.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from dpf.api.dpuflavor import ConfigFile, DPUFlavor, DPUFlavorSpec, FileType
from dpf.api.meta import object_key
from dpf.api.provisioning import DPUMode
from dpf.provisioning.flavor import firmware, kernel, layout, password, resources
from dpf.provisioning.flavor.problem import Problem

PORT_WITHOUT_OPTIONS: Final = (
    "host network interface configs are misconfigured: host network interface config at index {} (port {}) has no "
    "configuration options specified"
)

_DEVICES: Final = frozenset({firmware.ALL_DEVICES, "p0", "p1"})
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\[[0-9.]+\])?")
_MODE: Final = re.compile(r"[0-7]{3,4}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MODIFY_OS: Final = re.compile(r"\bbfb_modify_os\s*\(\s*\)|\bfunction\s+bfb_modify_os\b")
_NO_PLACE_FOR_FILES: Final = ("/proc/", "/sys/", "/dev/")

Check = Callable[[DPUFlavorSpec], Iterator[Problem]]


def problems(flavor: DPUFlavor) -> tuple[Problem, ...]:
    """Everything, in the order of the spec's fields; empty when the flavor is in order."""
    if flavor.spec is None:
        return ()
    spec = flavor.spec
    found = [problem for check in _CHECKS for problem in check(spec)]
    return tuple(_named(flavor, problem) for problem in (*found, *_devices(spec), *_nvconfig(flavor)))


def unsupported(flavor: DPUFlavor) -> tuple[Problem, ...]:
    """Fields that only the agent of 26.x acts on, which is not installed yet.

    Apart from `problems`: the API accepts such a flavor, an installation with it does not begin.
    """
    spec = flavor.spec or DPUFlavorSpec()
    agent_files = any(file.type == FileType.AGENT_APPLIED for file in spec.configFiles or ())
    used = {
        "spec.packages": bool(spec.packages),
        "spec.systemdServices": bool(spec.systemdServices),
        "spec.configFiles of the type agent-applied": agent_files,
        "spec.ewNicConfigurations": bool(spec.ewNicConfigurations),
        "spec.scalableFunctions": bool(spec.scalableFunctions),
        "spec.virtualFunctions": bool(spec.virtualFunctions),
        "spec.dma.enabled": spec.dma is not None and bool(spec.dma.enabled),
        f"spec.dpuMode: {DPUMode.NIC}": spec.dpuMode == DPUMode.NIC,
    }
    return tuple(
        Problem(where=_name(flavor), what=f"{field} is not supported yet", remedy="remove it from the flavor")
        for field, is_used in used.items() if is_used
    )


def _grub(spec: DPUFlavorSpec) -> Iterator[Problem]:
    parameters = (spec.grub.kernelParameters if spec.grub is not None else None) or []
    for index, text in enumerate(parameters):
        if "\n" in text or _CONTROL.search(text):
            yield Problem(
                where=f"spec.grub.kernelParameters[{index}]", what="a kernel parameter is one line of printable text",
                remedy="write each parameter as an item of its own",
            )
    for word in kernel.huge_pages(parameters).mistakes:
        yield Problem(
            where="spec.grub.kernelParameters", what=f"the kernel would ignore {word!r}",
            remedy="a BlueField kernel has huge pages of 64K, 2M, 32M and 1G, and hugepages=N counts them",
        )


def _sysctl(spec: DPUFlavorSpec) -> Iterator[Problem]:
    parameters = (spec.sysctl.parameters if spec.sysctl is not None else None) or []
    for index, line in enumerate(parameters):
        key, equals, value = line.partition("=")
        comment = not line.strip() or line.lstrip().startswith(("#", ";"))
        if "\n" in line or _CONTROL.search(line) or not (comment or (equals and key.strip())):
            yield Problem(
                where=f"spec.sysctl.parameters[{index}]", what="this is no line of the form key=value",
                remedy="write e.g. vm.swappiness=10",
            )
        elif key.strip().lstrip("-").replace("/", ".") == "net.ipv4.ip_forward" and value.strip() == "0":
            yield Problem(
                where=f"spec.sysctl.parameters[{index}]", what="without IP forwarding kubeadm refuses to join",
                remedy="remove the line",
            )


def _bfcfg(spec: DPUFlavorSpec) -> Iterator[Problem]:
    """Values are never quoted here: a line may hold a password of the BMC or of a user."""
    for index, line in enumerate(spec.bfcfgParameters or ()):
        where = f"spec.bfcfgParameters[{index}]"
        if password.is_password(line):
            yield from _password(where, line)
        elif _CONTROL.search(line):
            yield Problem(where=where, what="the line contains a control character", remedy="remove it")
        elif _MODIFY_OS.search(line):
            yield Problem(
                where=where, what="its function bfb_modify_os is never called: the one that makes the DPU join its "
                "cluster replaces it", remedy="put files into spec.configFiles instead", blocks=False,
            )
    if not _is_complete(password.without(spec.bfcfgParameters or ())):
        yield Problem(
            where="spec.bfcfgParameters", remedy="close the quotation",
            what="the lines do not end their quotation: what makes the DPU join its cluster would become part of it",
        )


def _password(where: str, line: str) -> Iterator[Problem]:
    advice = f"write {password.PARAMETER}=HASH with the HASH that `openssl passwd -6` prints"
    if not password.is_well_formed(line):
        yield Problem(where=where, what=f"{password.PARAMETER} needs a value and exactly one =", remedy=advice)
    elif not password.is_hash(line):
        yield Problem(
            where=where, what=f"the value of {password.PARAMETER} is not a password hash, nobody could log in with it",
            remedy=advice, blocks=False,
        )


def _is_complete(lines: Sequence[str]) -> bool:
    """Whether a shell would take what follows as a new line. A here-document may contain anything: not judged."""
    text = "\n".join(lines)
    if "<<" in text:
        return True
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.endswith("\\")


def _files(spec: DPUFlavorSpec) -> Iterator[Problem]:
    for index, file in enumerate(spec.configFiles or ()):
        where = f"spec.configFiles[{index}]"
        yield from _path(f"{where}.path", file)
        if file.permissions and not _MODE.fullmatch(file.permissions):
            yield Problem(
                where=f"{where}.permissions", what=f"{file.permissions[:20]!r} is no mode of a file",
                remedy="write it in octal, e.g. 0644",
            )


def _path(where: str, file: ConfigFile) -> Iterator[Problem]:
    path = file.path
    plain = path.startswith("/") and not path.startswith("//") and path != "/" and posixpath.normpath(path) == path
    if not plain or "\n" in path or _CONTROL.search(path):
        yield Problem(
            where=where, what=f"{path[:200]!r} does not name a file", remedy="write an absolute path without . and .."
        )
    elif path.startswith(_NO_PLACE_FOR_FILES):
        yield Problem(
            where=where, what=f"{path} belongs to the kernel", remedy="use spec.sysctl or spec.grub for its settings"
        )
    elif path in layout.OWN_PATHS:
        yield Problem(
            where=where, what=f"{path} is what makes the DPU a node of its cluster", remedy="choose another path"
        )


def _containerd(spec: DPUFlavorSpec) -> Iterator[Problem]:
    endpoint = spec.containerdConfig.registryEndpoint if spec.containerdConfig is not None else None
    if endpoint and not is_endpoint(endpoint):
        yield Problem(
            where="spec.containerdConfig.registryEndpoint", what="this is no address of a registry",
            remedy="write e.g. https://registry.example.com:5000",
        )


def is_endpoint(endpoint: str) -> bool:
    """Whether `endpoint` is an http or https address, or a host with an optional port; no credentials, no query."""
    if not endpoint.isascii() or not endpoint.isprintable() or re.search(r"[\s\"'\\]", endpoint):
        return False
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    anonymous = parts.username is None and not parts.query and not parts.fragment
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port_is_fine and anonymous


def _host_ports(spec: DPUFlavorSpec) -> Iterator[Problem]:
    for index, port in enumerate(spec.hostNetworkInterfaceConfigs or ()):
        if port.mtu is None and port.dhcp is None and port.nvconfig is None:
            yield Problem(what=PORT_WITHOUT_OPTIONS.format(index, port.portNumber))


def _nvconfig(flavor: DPUFlavor) -> Iterator[Problem]:
    """Names, counts and contradictions."""
    seen: dict[tuple[int, str], str] = {}
    for setting in firmware.settings(flavor):
        name = setting.key.upper()
        if not _KEY.fullmatch(setting.key):
            yield Problem(
                where=setting.field, what=f"{setting.key!r} is no name of a firmware setting",
                remedy="write KEY=VALUE with a KEY that `mlxconfig query` shows",
            )
        if name in {firmware.SF_TOTAL, firmware.VF_TOTAL} and not firmware.is_count(setting.value):
            yield Problem(
                where=setting.field, what=f"{name} is a number from 0 to {firmware.MAX_FUNCTIONS}",
                remedy=f"write e.g. {name}=16",
            )
        if seen.setdefault((setting.entry, name), setting.value) != setting.value:
            yield Problem(where=setting.field, what=f"{name} has two values", remedy="keep one of them")


def _devices(spec: DPUFlavorSpec) -> Iterator[Problem]:
    for index, entry in enumerate(spec.nvconfig or ()):
        if firmware.device_of(entry.device) not in _DEVICES:
            yield Problem(
                where=f"spec.nvconfig[{index}].device", what=f"{(entry.device or '')[:20]!r} is no port of a DPU",
                remedy="write p0, p1 or *",
            )


def _named(flavor: DPUFlavor, problem: Problem) -> Problem:
    """The problem with the flavor's name before its field; a documented text stays as it is."""
    if not problem.where:
        return problem
    return Problem(
        what=problem.what, where=f"{_name(flavor)}: {problem.where}", remedy=problem.remedy, blocks=problem.blocks
    )


def _name(flavor: DPUFlavor) -> str:
    return f"DPUFlavor {object_key(flavor)}"


_CHECKS: Final[tuple[Check, ...]] = (_grub, _sysctl, _bfcfg, _files, _containerd, resources.problems, _host_ports)
