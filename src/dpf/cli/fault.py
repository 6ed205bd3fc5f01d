"""`dpfctl local fault`: break emulated DPUs while they are used, and see how they are."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Final

import click

from dpf.cli import statefolder

_ALL: Final = ("all", "*")


class _Explained(click.Command):
    """Its help lists every fault; what there is, the emulated hardware says."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click
        """The faults of both install interfaces, and what can be done to a card."""
        from dpf.emulation.bmc.control import Deed
        from dpf.emulation.bmc.faults import Faults as BMCFaults
        from dpf.emulation.dms.faults import Faults as DMSFaults

        for title, faults in (("with a BMC (redfish)", BMCFaults), ("without a BMC (gnoi)", DMSFaults)):
            with formatter.section(f"Faults of a card {title}"):
                for line in _listed(inspect.getdoc(faults) or ""):
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("What can be done to a card"):
            formatter.write_text(", ".join(deed.value for deed in Deed))


@click.command(cls=_Explained)
@statefolder.option
@click.option("--set", "changes", multiple=True, metavar="FAULT[=VALUE]", help="Set a fault, e.g. busy=2; may be given "
              "again. Counters go down as they are used up; -1 never ends.")
@click.option("--clear", is_flag=True, help="Take all other faults away.")
@click.option("--do", "deed", metavar="DEED", default=None, help="Do something to the card, e.g. power-loss.")
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table")
@click.argument("card", default="all")
def fault(
    state: Path | None, card: str, changes: tuple[str, ...], clear: bool, deed: str | None, output: str
) -> None:
    """Set faults of CARD, e.g. dpu-1, or of all cards; without options only show them."""
    from dpf.emulation.bmc.control import ControlError, Deed, Request
    from dpf.emulation.hardware import control
    from dpf.local import errors
    from dpf.local.platform import hardware, status

    def carry_out() -> dict[str, dict[str, Any]]:
        known = {one.value for one in Deed}
        if deed is not None and deed not in known:
            raise errors.LocalError(f"nothing is called {deed!r}; there are: {', '.join(sorted(known))}")
        request = Request(
            card=control.ALL if card in _ALL else card, clear=clear, faults=dict(map(_parse, changes)),
            do=Deed(deed) if deed else None,
        )
        platform = statefolder.existing(state)
        if not platform.is_installing:
            raise errors.LocalError("this platform has DPUs that are not installed, and so no hardware to break")
        try:
            return statefolder.wait_for(control.ask(hardware.control_socket(platform.state), request))
        except ControlError as error:
            raise errors.LocalError(str(error)) from None

    cards = statefolder.guard(carry_out)
    if output == "json":
        click.echo(json.dumps(cards))
        return
    for name, shown in cards.items():
        click.echo(f"{name}: {status.card_text(shown)}")


def _parse(word: str) -> tuple[str, Any]:
    """`busy=2`, `silent`, `serial=X`: a number where it is one, else a truth value, else text."""
    name, equals, text = word.partition("=")
    if not equals:
        return name, True
    try:
        value = json.loads(text)
    except ValueError:
        return name, text
    return name, value if isinstance(value, bool | int | float | str) else text


def _listed(text: str) -> list[str]:
    """The lines of a docstring behind its first paragraph."""
    return text.partition("\n\n")[2].splitlines()
