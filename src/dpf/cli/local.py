"""`dpfctl local`: the local platform. Parses options and prints; `dpf.local.platform` does the work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from dpf.cli import statefolder
from dpf.cli.fault import fault


@click.group()
def local() -> None:
    """Run the whole system on this machine: real engines, emulated DPUs."""
    from dpf.runtime import logs

    logs.configure(console=True, level="WARNING")


@local.command()
@statefolder.option
@click.option("--dpus", type=click.IntRange(0, 64), default=None, help="How many emulated DPUs.  [default: 2]")
@click.option(
    "--pod-network", type=click.Choice(["netns", "host"]), default=None,
    help="A network namespace per node and pod (root), or this machine's own network.  [default: netns for root]",
)
@click.option(
    "--install-interface", type=click.Choice(["gnoi", "redfish", "none"]), default=None,
    help="How DPUs are installed: from their host, by their BMC, or not at all (they are Ready nodes).",
)
@click.option(
    "--provision/--no-provision", default=None,
    help="Have all DPUs installed and wait until they are Ready.  [default: yes, unless an interface is named]",
)
@click.option(
    "--manual-reboot/--attended", default=None,
    help="Reboot hosts yourself when a DPUNode asks for it, or have it done.  [default: attended]",
)
@click.option("--port", "ports", multiple=True, metavar="NAME=PORT", help="Fix a port, e.g. host-api=6443.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="json: step times on stdout.")
def up(
    state: Path | None, dpus: int | None, pod_network: Any, install_interface: Any, provision: bool | None,  # noqa: ANN401
    manual_reboot: bool | None, ports: tuple[str, ...], quiet: bool, output: str,
) -> None:
    """Bring the platform up, or mend it: what runs is left alone."""
    from dpf.local.platform import progress, settings
    from dpf.local.platform import up as platform_up

    where = (state or settings.default_state()).absolute()
    meter = progress.Progress(out=None if quiet else sys.stderr)

    def start() -> None:
        wanted = settings.resolve(
            where, dpus=dpus, pod_network=pod_network, wanted_ports=_parse_ports(ports), saved=settings.load(where),
            install_interface=install_interface, provision=provision, manual_reboot=manual_reboot,
        )
        statefolder.wait_for(platform_up.up(wanted, meter))

    statefolder.guard(start)
    if output == "json":
        click.echo(json.dumps({
            "seconds": round(meter.elapsed(), 3),
            "steps": [{"name": s.name, "began_s": s.began_s, "took_s": s.took_s} for s in meter.steps],
        }))
    elif not quiet:
        click.echo(f"up: ready in {meter.elapsed():.1f} s; state in {where}", err=True)


@local.command()
@statefolder.option
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table")
def status(state: Path | None, output: str) -> None:
    """Show the platform's processes, clusters and nodes. Exits 1 when something does not run."""
    from dpf.local.platform import status as platform_status

    report = statefolder.guard(lambda: statefolder.wait_for(platform_status.observe(statefolder.existing(state))))
    click.echo(json.dumps(platform_status.as_json(report)) if output == "json" else platform_status.as_table(report))
    sys.exit(0 if report.healthy else 1)


@local.command()
@statefolder.option
@click.option("--follow", "-f", is_flag=True, help="Go on printing what is added.")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=100, help="How many lines from the end.")
@click.argument("name", required=False)
def logs(state: Path | None, follow: bool, lines: int, name: str | None) -> None:
    """Print the log of the process NAME; without NAME, list the names."""
    from dpf.local.platform import logs as platform_logs

    def show() -> None:
        where = statefolder.existing(state).state
        platform_logs.show(where, name, lines=lines, follow=follow, write=click.echo)

    statefolder.guard(show)


@local.command()
@statefolder.option
def env(state: Path | None) -> None:
    """Print exports for a shell: eval "$(dpfctl local env)"."""
    from dpf.local.platform import environment

    for line in statefolder.guard(lambda: environment.exports(statefolder.existing(state))):
        click.echo(line)


@local.command()
@statefolder.option
@click.option("--quiet", is_flag=True, help="Print errors only.")
def down(state: Path | None, quiet: bool) -> None:
    """Stop everything and remove the state folder, network namespaces and interfaces."""
    from dpf.local.platform import down as platform_down
    from dpf.local.platform import progress, settings

    where = (state or settings.default_state()).absolute()
    meter = progress.Progress(out=None if quiet else sys.stderr)
    found = statefolder.guard(lambda: platform_down.down(where, meter))
    if not quiet:
        end = f"nothing left, {meter.elapsed():.1f} s" if found else f"no platform in {where}"
        click.echo(f"down: {end}", err=True)


@local.command()
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table")
def parts(output: str) -> None:
    """Find, download or build the engines, and say where each comes from."""
    from dpf.local.platform import part_list

    resolving = part_list.resolve(output, lambda line: click.echo(line, err=True))
    click.echo(statefolder.guard(lambda: statefolder.wait_for(resolving)))


def _parse_ports(words: tuple[str, ...]) -> dict[str, int]:
    from dpf.local import errors

    ports: dict[str, int] = {}
    for word in words:
        name, _, number = word.partition("=")
        if not (number.isascii() and number.isdigit()) or not 0 < int(number) < 65536:
            raise errors.PreflightError(f"--port takes NAME=PORT with a port from 1 to 65535, not {word!r}")
        ports[name] = int(number)
    return ports


local.add_command(fault)
