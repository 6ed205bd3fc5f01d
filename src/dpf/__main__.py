"""Entry point of `dpf`, the program that pods run: `dpf run <controllers>`.

Chooses which controllers a process has and hands them to `runtime.process`; knows nothing of what they do. People type
`dpfctl`.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import dpf
from dpf.api.names import DPF_NAMESPACE

if TYPE_CHECKING:
    from dpf.provisioning.controllers import Options
    from dpf.runtime.mirrors import Mirrors
    from dpf.runtime.process import ControllersFactory, World
    from dpf.runtime.reconciler import Reconciler

_LOCAL = "local"
_PAUSE_S = 1.0
_PORTS = 1 << 16


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dpf.__version__, prog_name="dpf")
def main() -> None:
    """Processes of the DOCA Platform Framework."""


@main.command()
@click.argument("controllers", type=click.Choice(
    ["all", "services", "provisioning", "cluster-manager", "bfb-registry"],
))
@click.argument("manager", required=False, type=click.Choice(["static", "kamaji", _LOCAL]))
@click.option("--kubeconfig", default=None, help="Host cluster; default: KUBECONFIG, in-cluster or ~/.kube/config.")
@click.option("--metrics-address", default="127.0.0.1:8080", show_default=True, help="Metrics and probes; '' for none.")
@click.option("--leader-elect/--no-leader-elect", default=True, show_default=True)
@click.option(
    "--namespace", default=DPF_NAMESPACE, show_default=True, help="DPF's own namespace: Leases, Applications.",
)
@click.option(
    "--local-state", type=click.Path(path_type=Path, file_okay=False, exists=True), default=None,
    help="State folder of a local platform: also run its cluster manager.",
)
@click.option(
    "--repository-mirror", "repository_mirrors", multiple=True, metavar="PREFIX=MIRROR",
    help="Ask MIRROR for charts of repositories whose URL begins with PREFIX; may be given again.",
)
@click.option(
    "--bfb-folder", type=click.Path(path_type=Path, file_okay=False), default=Path("/bfb"), show_default=True,
    help="Volume with the BFBs.",
)
@click.option(
    "--bfb-registry-listen", default="", metavar="HOST:PORT",
    help="Where `bfb-registry` serves the volume over https, for BMCs that are told to install.",
)
@click.option(
    "--bfb-registry-address", default="", metavar="HOST:PORT",
    help="Where BMCs reach the registry, unless the DPFOperatorConfig says so.",
)
@click.option(
    "--agent-api-server", default="", metavar="URL",
    help="The host's API server as agents on DPUs reach it; default: what cluster-info says.",
)
@click.option(
    "--bfb-mirror", "bfb_mirrors", multiple=True, metavar="PREFIX=MIRROR",
    help="Download BFBs whose URL begins with PREFIX from MIRROR; may be given again.",
)
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json", show_default=True)
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO")
def run(
    controllers: str, manager: str | None, kubeconfig: str | None, metrics_address: str, leader_elect: bool,
    namespace: str, local_state: Path | None, repository_mirrors: tuple[str, ...], bfb_folder: Path,
    bfb_registry_listen: str, bfb_registry_address: str, agent_api_server: str, bfb_mirrors: tuple[str, ...],
    log_format: str, log_level: str,
) -> None:
    """Run CONTROLLERS against the host cluster until a signal; `cluster-manager` takes the MANAGER to run.

    `bfb-registry` is no controller: it serves the volume with the BFBs, and any number of it may run.
    """
    from dpf.local import errors
    from dpf.provisioning.controllers import Options
    from dpf.runtime import logs, mirrors, process

    logs.configure(console=log_format == "console", level=log_level)
    if controllers == "bfb-registry":
        sys.exit(_serve_registry(kubeconfig, namespace, bfb_folder, bfb_registry_listen, bfb_registry_address))
    try:
        options = Options(
            folder=bfb_folder, registry_address=bfb_registry_address, agent_server=agent_api_server,
            mirrors=mirrors.parse(bfb_mirrors, mirrors.BFB),
        )
        factory = _factory(controllers, manager, local_state, mirrors.parse(repository_mirrors), options)
    except (errors.LocalError, mirrors.MirrorError) as error:
        raise click.ClickException(str(error)) from error
    name = f"dpf-{controllers}-{manager}" if manager else f"dpf-{controllers}"
    code = process.execute(process.run(
        factory, kubeconfig=kubeconfig, metrics_address=metrics_address, leader_election=leader_elect, name=name,
        namespace=namespace,
    ))
    if code == process.EXIT_AGAIN and local_state is not None:
        _start_again()
    sys.exit(code)


def _serve_registry(kubeconfig: str | None, namespace: str, folder: Path, listen: str, address: str) -> int:
    """Exit code of the process that serves the volume."""
    from dpf.kube import errors, http
    from dpf.kube import kubeconfig as kubeconfigs
    from dpf.provisioning.bfb import serving
    from dpf.runtime import process

    host, port = _address(listen)

    async def serve() -> int:
        client = http.HTTPClient(kubeconfigs.load(kubeconfig), name="host")
        reached = address.rpartition(":")[0].strip("[]") or host
        wanted = serving.BFBRegistry(client, namespace).serving(folder, host, port, reached)
        return await serving.run_until_signal(wanted, client)

    try:
        return process.execute(serve())
    except (errors.CredentialsError, OSError) as error:
        raise click.ClickException(f"the registry cannot be served at {listen}: {error}") from error


def _address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) >= _PORTS:
        raise click.UsageError(f"--bfb-registry-listen {text!r} is not HOST:PORT, e.g. 0.0.0.0:8443")
    return host.strip("[]"), int(port)


def _start_again() -> None:
    """Become a new process of the same pid: on a local platform nobody else restarts what had to leave."""
    time.sleep(_PAUSE_S)
    os.execv(sys.executable, [sys.executable, "-m", "dpf", *sys.argv[1:]])


def _factory(
    controllers: str, manager: str | None, local_state: Path | None, repositories: Mirrors, options: Options,
) -> ControllersFactory:
    """What makes the chosen controllers. Raises UsageError and LocalError."""
    if (controllers == "cluster-manager") != (manager is not None):
        raise click.UsageError("`cluster-manager` takes the manager (static, kamaji or local); nothing else does")
    if manager == _LOCAL and local_state is None:
        raise click.UsageError("the local cluster manager needs --local-state")
    from dpf.provisioning import controllers as provisioning
    from dpf.services import controllers as services

    build_services = partial(services.build, mirrors=repositories)
    if controllers == "services":
        return build_services
    build_provisioning = partial(provisioning.build, options=options)
    if controllers == "provisioning":
        return build_provisioning
    if manager == "static":
        return provisioning.build_static_manager
    if manager == "kamaji":
        return provisioning.build_kamaji_manager
    local = _local_manager(local_state) if local_state else _nothing
    if manager == _LOCAL:
        return local
    managers = (provisioning.build_static_manager, provisioning.build_kamaji_manager, local)
    parts = (build_services, build_provisioning, *managers)
    return lambda world: [reconciler for build in parts for reconciler in build(world)]


def _local_manager(state: Path) -> ControllersFactory:
    from dpf.local import controlplanes
    from dpf.provisioning import controllers as provisioning

    control_plane = controlplanes.of_state(state.absolute())
    return lambda world: provisioning.build_local_manager(world, control_plane)


def _nothing(_: World) -> list[Reconciler[Any, Any]]:
    return []


if __name__ == "__main__":
    main()
