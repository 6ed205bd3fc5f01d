"""bf.cfg as it was flashed -> what the booted DPU needs: how it joins, and what its system looks like.

Pure. Called by the emulated system when it boots. It knows nothing of who wrote the bytes: it follows them as a card
would, from the installer's function to cloud-init's user-data, from the commands of the first boot to the units that
they enable, and to the scripts of these. What no command runs has no effect. No error quotes the bytes, because they
hold a bootstrap token.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dpf.emulation.agent import config as agent_config
from dpf.emulation.agent.config import AgentConfig, AgentConfigError, Setup
from dpf.emulation.dpu import cloudconfig
from dpf.emulation.dpu.cloudconfig import ConfigError, File
from dpf.emulation.join import errors as join_errors
from dpf.emulation.join.bootstrap import JoinConfig, parse_config

_UNITS: Final = "/etc/systemd/system/"
_KUBELET_DROP_INS: Final = f"{_UNITS}kubelet.service.d/"

_AGENT: Final = "dpu-agent"
_DELAY_HOST: Final = "DELAY_HOST_OS_INIT"
_OFF: Final = frozenset({"0", "FALSE", "FALSE(0)"})

_NUMBER: Final = re.compile(r"count=([0-9]{1,6})")
_INTERFACE: Final = re.compile(r"interface=([^\s]+)")
_GRUB_LINE: Final = re.compile(r'^GRUB_CMDLINE_LINUX="((?:[^"\\]|\\.)*)"', re.MULTILINE)
_ESCAPED: Final = re.compile(r'\\([$`"\\])')
_DEVICE_LOOP: Final = re.compile(r"for device in (\S+); do")
_END_OF_COMMAND: Final = re.compile(r"[;&|<>()]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareSetting:
    """One setting for the devices that match `devices`, e.g. `/dev/mst/*_pciconf0`."""

    devices: str
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DPUConfig:
    """A booted DPU. What may hold a secret is not part of the repr.

    `join_command` are the words of `kubeadm join`, `join_interface` is where it waits for an address, None if it does
    not wait. `kernel_parameters` count after the next restart, and only if the boot menu was written anew. `reboots`:
    the first boot ends with a restart of the Arm cores. `agent` None: none runs. `parameters` are the installer's, line
    by line.
    """

    join: JoinConfig
    join_command: tuple[str, ...] = field(repr=False)
    join_interface: str | None
    host_name: str
    labels: Mapping[str, str]
    sysctl: Mapping[str, str]
    kernel_parameters: tuple[str, ...]
    firmware: tuple[FirmwareSetting, ...]
    sf_count: int
    units: tuple[str, ...]
    reboots: bool
    agent: AgentConfig | None
    files: Mapping[str, File]
    user_data: str = field(repr=False)
    parameters: tuple[str, ...] = field(repr=False)

    @property
    def node_name(self) -> str:
        """The Node that this DPU becomes."""
        return self.join.node


@dataclass(frozen=True, slots=True, kw_only=True)
class _Boot:
    """What the first boot has to go by: files, commands in order, and the units that they enable."""

    files: Mapping[str, File]
    commands: tuple[tuple[str, ...], ...] = field(repr=False)

    @property
    def units(self) -> tuple[str, ...]:
        enabled = (command[2:] for command in self.commands if command[:2] == ("systemctl", "enable"))
        return tuple(unit for units in enabled for unit in units if not unit.startswith("-"))

    def text(self, path: str) -> str:
        """The file as text; empty when it was not written."""
        file = self.files.get(path)
        return file.content.decode(errors="replace") if file is not None else ""

    def scripts(self) -> Iterator[str]:
        """Every script that a command or an enabled unit runs."""
        for command in self.commands:
            yield from self._run_by(command)
        for command in self.started():
            yield from self._run_by(command)

    def started(self) -> Iterator[tuple[str, ...]]:
        """The words of what every enabled unit starts."""
        for unit in self.units:
            for line in _lines(self.text(_UNITS + unit)):
                if line.startswith("ExecStart="):
                    yield cloudconfig.words_of(line.removeprefix("ExecStart="))

    def in_folder(self, folder: str, suffix: str) -> Iterator[str]:
        """The texts of a drop-in folder in the order in which they are read."""
        for path in sorted(self.files):
            if path.startswith(folder) and path.endswith(suffix) and "/" not in path.removeprefix(folder):
                yield self.text(path)

    def _run_by(self, command: Sequence[str]) -> Iterator[str]:
        shell = command[:1] and command[0].rsplit("/", 1)[-1] in {"sh", "bash"}
        for path in command[1 if shell else 0:][:1]:
            if path in self.files:
                yield self.text(path)


def parse_bfcfg(data: bytes) -> DPUConfig:
    """What a card makes of `data`: the bytes behind the BFB. Raises ConfigError."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ConfigError("bf.cfg is not UTF-8 text") from None
    user_data = cloudconfig.user_data(text)
    document = cloudconfig.document(user_data)
    boot = _Boot(files=cloudconfig.files(document), commands=cloudconfig.commands(document))
    host_name = str(document.get("hostname") or "localhost")
    command, interface = _join_command(boot)
    scripts = list(boot.scripts())
    firmware = tuple(setting for script in scripts for setting in _firmware(script))
    kernel_parameters = _kernel_parameters(boot, scripts)
    reboots = any(line in {"reboot", "systemctl reboot"} for script in scripts for line in _lines(script))
    setup = Setup(
        has_firmware_settings=bool(firmware), needs_reboot=bool(kernel_parameters) and not reboots,
        delays_host=any(s.key.upper() == _DELAY_HOST and s.value.upper() not in _OFF for s in firmware),
    )
    return DPUConfig(
        join=_join_config(command, host_name), join_command=command, join_interface=interface, host_name=host_name,
        labels=_labels(boot), sysctl=_sysctl(boot), kernel_parameters=kernel_parameters, firmware=firmware,
        sf_count=sum(_sf_count(script) for script in scripts), units=boot.units,
        reboots=reboots, agent=_agent(boot, setup), files=boot.files, user_data=user_data,
        parameters=cloudconfig.parameters(text),
    )


def _agent(boot: _Boot, setup: Setup) -> AgentConfig | None:
    """The agent that an enabled unit runs; None when none does."""
    configurations = [path for words in boot.started() if (path := _agent_option(words))]
    if not configurations:
        return None
    configuration = boot.text(configurations[-1])
    try:
        bootstrap = boot.text(agent_config.kubeconfig_path(configuration))
        return agent_config.parse(configuration, bootstrap.encode(), setup)
    except AgentConfigError as error:
        raise ConfigError(str(error)) from None


def _agent_option(words: Sequence[str]) -> str:
    """The file that `dpu-agent --config FILE` reads; empty for any other command."""
    runs = any(word.rsplit("/", 1)[-1] == _AGENT for word in words)
    return _options(words, "--config")[-1] if runs and _options(words, "--config") else ""


def _join_command(boot: _Boot) -> tuple[tuple[str, ...], str | None]:
    """The words of the only `kubeadm join` that something runs, and the interface that it waits for."""
    found = [(words, script) for script in boot.scripts() for words in _joins(script)]
    if not found:
        raise ConfigError("neither the first boot nor an enabled unit runs kubeadm join: the DPU joins no cluster")
    words, script = found[-1]
    waits = [match[1] for line in _lines(script) if (match := _INTERFACE.fullmatch(line))]
    return words, waits[-1].strip("'\"") if waits else None


def _joins(script: str) -> Iterator[tuple[str, ...]]:
    for line in _lines(script.replace("\\\n", " ")):
        if "kubeadm join" in line and not line.startswith(("#", "echo")):
            words = cloudconfig.words_of(line, operators=True)
            pairs = list(itertools.pairwise(words))
            if ("kubeadm", "join") in pairs:
                yield _one_command(words[pairs.index(("kubeadm", "join")):])


def _one_command(words: Sequence[str]) -> tuple[str, ...]:
    end = next((i for i, word in enumerate(words) if _END_OF_COMMAND.fullmatch(word)), len(words))
    return tuple(words[:end])


def _join_config(command: Sequence[str], host_name: str) -> JoinConfig:
    tokens = _options(command, "--token")
    if len(command) < 3 or command[2].startswith("-") or len(tokens) != 1:
        raise ConfigError("the join command needs a server and one --token")
    names = _options(command, "--node-name")
    try:
        return parse_config(
            node=names[-1] if names else host_name, server=f"https://{command[2]}", token=tokens[0],
            pins=_options(command, "--discovery-token-ca-cert-hash"),
        )
    except join_errors.InvalidJoinConfig as error:
        raise ConfigError(str(error)) from None


def _options(words: Sequence[str], name: str) -> list[str]:
    found = [words[i + 1] for i, word in enumerate(words[:-1]) if word == name]
    return found + [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]


def _labels(boot: _Boot) -> Mapping[str, str]:
    """Labels that the kubelet registers the node with, from its drop-ins; the last one that sets them counts."""
    found = ""
    for text in boot.in_folder(_KUBELET_DROP_INS, ".conf"):
        for line in _lines(text):
            if line.startswith("Environment="):
                found = _node_labels(line.removeprefix("Environment=")) or found
    pairs = (pair.partition("=") for pair in found.split(",") if pair)
    return {key: value for key, _, value in pairs}


def _node_labels(assignments: str) -> str:
    """The value of --node-labels in the variables of a unit, `A="--x" "B=--node-labels=..."`."""
    values = (word.partition("=")[2] for word in cloudconfig.words_of(assignments))
    found = [label for value in values for label in _options(cloudconfig.words_of(value), "--node-labels")]
    return found[-1] if found else ""


def _sysctl(boot: _Boot) -> Mapping[str, str]:
    """What the files for sysctl set, in the order in which it reads them."""
    found: dict[str, str] = {}
    for text in boot.in_folder("/etc/sysctl.d/", ".conf"):
        for line in _lines(text):
            key, equals, value = line.partition("=")
            if equals and not line.startswith(("#", ";")):
                found[key.strip()] = value.strip()
    return found


def _kernel_parameters(boot: _Boot, scripts: Sequence[str]) -> tuple[str, ...]:
    """What the boot menu gives the kernel, if it was written anew."""
    if not any(line == "update-grub" for script in scripts for line in _lines(script)):
        return ()
    texts = "".join(boot.in_folder("/etc/default/grub.d/", ".cfg"))
    found = _GRUB_LINE.findall(texts)
    return tuple(_ESCAPED.sub(r"\1", found[-1]).split()) if found else ()


def _firmware(script: str) -> Iterator[FirmwareSetting]:
    devices = ""
    for line in _lines(script):
        if loop := _DEVICE_LOOP.fullmatch(line):
            devices = loop[1]
        words = cloudconfig.words_of(line) if line.startswith(("configure ", "mlxconfig ")) and devices else ()
        settings = words[words.index("set") + 1:] if "set" in words else ()
        for key, _, value in (setting.partition("=") for setting in settings):
            yield FirmwareSetting(devices=devices, key=key, value=value)


def _sf_count(script: str) -> int:
    if "mlnx-sf" not in script:
        return 0
    counts = [int(match[1]) for line in _lines(script) if (match := _NUMBER.fullmatch(line))]
    return counts[-1] if counts else 0


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n")]


