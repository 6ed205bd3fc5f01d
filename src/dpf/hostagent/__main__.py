"""`python -m dpf.hostagent`: what runs on a host node, as pods of DPF or by hand.

    detect                             looks for DPUs, tells node feature discovery
    reboot                             restarts this host when DPUs wait for it
    vfs, network                       the host's side of a DPU's network
    rshim-preflight, devlink-grace-period   before a DMS may use the cards
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dpf.api.dpfoperatorconfig import DEFAULT_OOB_BRIDGE
from dpf.hostagent import host as hosts
from dpf.hostagent.host import Host
from dpf.runtime import logs

if TYPE_CHECKING:
    from dpf.hostagent.network.daemon import HostNetwork

_ROOT: Final = "DPF_VOLUME_ROOT"
"""On an emulated node: the folder below which a container finds its volumes."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--node", envvar="NODE_NAME", default="", help="Name of this host's Node.")
@click.option("--sysfs", type=click.Path(path_type=Path), default=Path("/sys"), show_default=True)
@click.option("--procfs", type=click.Path(path_type=Path), default=Path("/proc"), show_default=True)
@click.option("--dev", type=click.Path(path_type=Path), default=Path("/dev"), show_default=True)
@click.option(
    "--emulated-hosts", type=click.Path(path_type=Path), default=None,
    help="Folder of emulated hosts: this one's trees are below its folder NODE. Interfaces are files there.",
)
@click.option("--kubeconfig", default=None, help="Host cluster; default: KUBECONFIG, in-cluster or ~/.kube/config.")
@click.option(
    "--restart-command", default=None, help="One command that restarts this host in every case; {node} is its Node.",
)
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json", show_default=True)
@click.pass_context
def main(
    context: click.Context, node: str, sysfs: Path, procfs: Path, dev: Path, emulated_hosts: Path | None,
    kubeconfig: str | None, restart_command: str | None, log_format: str,
) -> None:
    """The agent of a host node."""
    logs.configure(console=log_format == "console", level="INFO")
    context.obj = {"node": node, "kubeconfig": kubeconfig, "restart": restart_command}
    if emulated_hosts is not None:
        if not node:
            raise click.UsageError("--emulated-hosts needs --node or NODE_NAME")
        context.obj["host"] = hosts.emulated(emulated_hosts / node)
    else:
        context.obj["host"] = Host(sysfs=sysfs, procfs=procfs, dev=dev)


@main.command()
@click.option("--bridge", default=DEFAULT_OOB_BRIDGE, show_default=True, help="Bridge to the out-of-band ports.")
@click.option("--features", type=click.Path(path_type=Path), default=None, help="Folder of feature files.")
@click.option("--once", is_flag=True, help="Look once and leave.")
@click.pass_obj
def detect(obj: dict[str, Any], bridge: str, features: Path | None, once: bool) -> None:
    """Look for DPUs each minute, tell node feature discovery."""
    from dataclasses import replace

    from dpf.hostagent import detect as detector

    host = replace(obj["host"], features=_in_volume(features)) if features is not None else obj["host"]
    if once:
        _leave_with(detector.look(host, bridge))
    _run(lambda stop: detector.run(host, bridge, stop))


@main.command()
@click.option("--dpunode", default=None, help="DPUNode of this host; default: the one that its Node has.")
@click.option("--power-cycle-command", default=None, help="Default: ipmitool chassis power {action}")
@click.option("--reset-command", default=None, help="Default: mlxfwreset -d {device} --level {level} -y reset")
@click.option("--boot-id-file", type=click.Path(path_type=Path), default=None, help="Changes with each boot.")
@click.pass_obj
def reboot(
    obj: dict[str, Any], dpunode: str | None, power_cycle_command: str | None, reset_command: str | None,
    boot_id_file: Path | None,
) -> None:
    """Restart this host when DPUs wait for it."""
    from dpf.hostagent.reboot import agent, commands
    from dpf.kube import errors, http
    from dpf.kube import kubeconfig as kubeconfigs

    if not obj["node"]:
        raise click.UsageError("set --node or NODE_NAME to the name of this host's Node")
    host: Host = obj["host"]
    machine = commands.CommandMachine(commands.Programs(
        power=_words(power_cycle_command) or commands.POWER, reset=_words(reset_command) or commands.RESET,
        restart=[word.replace("{node}", obj["node"]) for word in _words(obj["restart"])], dev=host.dev,
        boot_id_file=boot_id_file or host.procfs / "sys" / "kernel" / "random" / "boot_id",
    ))
    try:
        client = http.HTTPClient(kubeconfigs.load(obj["kubeconfig"]), name="host")
    except errors.CredentialsError as error:
        raise click.ClickException(f"cannot connect to the host cluster: {error}") from error
    _run(lambda stop: agent.run(client, obj["node"], machine, stop, dpunode=dpunode))


@main.command()
@click.option("--pci", default=None, help="Address of the card, e.g. 0000-0e-00.")
@click.option("--pf0", default=None, help="Instead: name of its first interface.")
@click.option("--vfs", type=click.IntRange(0), required=True, help="Virtual functions on each port.")
@click.pass_obj
def vfs(obj: dict[str, Any], pci: str | None, pf0: str | None, vfs: int) -> None:
    """Make the virtual functions of a card and leave."""
    _leave_with(_host_network(obj["host"], pci, pf0, vfs=vfs).make_functions())


@main.command()
@click.option("--pci", default=None, help="Address of the card, e.g. 0000-0e-00.")
@click.option("--pf0", default=None, help="Instead: name of its first interface.")
@click.option("--vfs", type=click.IntRange(0), required=True, help="Virtual functions on each port.")
@click.option("--mtu", type=click.IntRange(68, 65535), required=True, help="MTU of the first virtual function.")
@click.option("--bridge", default=DEFAULT_OOB_BRIDGE, show_default=True, help="Bridge that it is a port of.")
@click.option("--ready-file", type=click.Path(path_type=Path), default=None, help="Exists while all is set up.")
@click.pass_obj
def network(
    obj: dict[str, Any], pci: str | None, pf0: str | None, vfs: int, mtu: int, bridge: str, ready_file: Path | None,
) -> None:
    """Keep the host's side of a card set up until a signal; then take it out of the bridge."""
    ready = _in_volume(ready_file) if ready_file is not None else None
    daemon = _host_network(obj["host"], pci, pf0, vfs=vfs, mtu=mtu, bridge=bridge, ready_file=ready)
    _run(daemon.run)


@main.command("rshim-preflight")
@click.pass_obj
def rshim_preflight(obj: dict[str, Any]) -> None:
    """Fail when a driver of the host uses a card."""
    from dpf.hostagent import preflight

    _leave_with(preflight.rshim_owner(obj["host"].dev) or "")


@main.command("devlink-grace-period")
@click.pass_obj
def devlink_grace_period(obj: dict[str, Any]) -> None:
    """Have the drivers of the cards recover from every fatal error."""
    from dpf.detector import pci
    from dpf.hostagent import preflight

    if obj["host"].is_emulated:
        return
    try:
        asyncio.run(preflight.lift_grace_period(obj["host"].sysfs))
    except pci.Unreadable as error:
        raise click.ClickException(str(error)) from error


def _host_network(
    host: Host, pci: str | None, pf0: str | None, *, vfs: int, mtu: int = 1500, bridge: str = DEFAULT_OOB_BRIDGE,
    ready_file: Path | None = None,
) -> HostNetwork:
    from dpf.hostagent.network import daemon, filelinks, functions, kernellinks, plan

    if (pci is None) == (pf0 is None):
        raise click.UsageError("name the card with either --pci or --pf0")
    try:
        card = daemon.Card(slot=functions.slot_of(pci) if pci is not None else None, pf0=pf0)
    except functions.BadCard as error:
        raise click.UsageError(str(error)) from error
    return daemon.HostNetwork(
        card, plan.Wanted(vfs=vfs, mtu=mtu, bridge=bridge), sysfs=host.sysfs, ready_file=ready_file,
        links=filelinks.FileLinks(host.sysfs) if host.is_emulated else kernellinks.KernelLinks(),
        make=filelinks.make_functions if host.is_emulated else functions.make,
    )


def _in_volume(path: Path) -> Path:
    return Path(os.environ.get(_ROOT, "") + str(path))


def _words(command: str | None) -> tuple[str, ...]:
    return tuple(shlex.split(command)) if command else ()


def _leave_with(trouble: str) -> None:
    """The reason goes where `kubectl logs` shows it."""
    if trouble:
        raise click.ClickException(trouble)
    sys.exit(0)


def _run(main_of: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Until SIGTERM or SIGINT."""

    async def until_signal() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main_of(stop)

    try:
        asyncio.run(until_signal())
    except OSError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
