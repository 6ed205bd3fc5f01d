"""`dpfctl describe`: options in, one text out. Wires discover -> tree -> render or document; decides nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import click

from dpf.cli import cluster
from dpf.cli.describe import discover, document, filters, kinds, render, tree

_SHORT: Final = {"-c": "--color", "-o": "--output"}
_SWITCHES: Final = frozenset({"--grouping", "--color"})
"""Options that are true when bare."""


class _DescribeCommand(click.Command):
    """Takes options as kubectl and dpfctl users write them: `-o=json`, `-c=false`, and a bare `--color` for true.

    A bare switch must not swallow the next word: `describe -c dpuservices` names a target.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """click's, on options that are spelled out."""
        return super().parse_args(ctx, [_spell_out(arg) for arg in args])


@click.command(cls=_DescribeCommand, no_args_is_help=True)
@click.argument("target", metavar=f"{{{'|'.join(kinds.TARGETS)}}}")
@click.option("--show-conditions", metavar="FILTER", default="", help="Objects whose conditions are all listed.")
@click.option("--show-resources", metavar="FILTER", default=filters.ALL, show_default=True, help="Objects to show.")
@click.option("--expand-resources", metavar="FILTER", default="", help="Objects whose parts are shown even when Ready.")
@click.option(
    "--grouping", type=bool, default=True, metavar="BOOL", show_default=True,
    help="Fold ready objects of one kind into one row.",
)
@click.option(
    "-c", "--color", type=bool, default=None, metavar="BOOL", show_default="on a terminal",
    help="Use colours; NO_COLOR switches them off.",
)
@click.option("-o", "--output", default="table", metavar="table|json|yaml", show_default=True, help="Output format.")
@cluster.kubeconfig_option
def describe(
    target: str, *, show_conditions: str, show_resources: str, expand_resources: str, grouping: bool,
    color: bool | None, output: str,
) -> None:
    """Show objects, what they are made of and what is not ready.

    A FILTER is a comma list of kinds (dpuservice), objects (dpuservice/hbn), "all", or "failed" for what is not ready.
    """
    branches = _branches(target)
    form = _form(output)
    options = tree.Options(
        show_conditions=_filter(show_conditions), show_resources=_filter(show_resources),
        expand_resources=_filter(expand_resources), grouping=grouping,
    )
    inventory = cluster.run(lambda client: discover.discover(client, branches))
    _warn(inventory)
    colour = use_colour(color, os.environ, is_terminal=sys.stdout.isatty())
    click.echo(form(tree.build(inventory, branches, options), colour), color=True)


def use_colour(wanted: bool | None, environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """NO_COLOR (set and not empty) wins over the option, and the option over what the output is."""
    if environment.get("NO_COLOR"):
        return False
    return is_terminal if wanted is None else wanted


def _spell_out(argument: str) -> str:
    name, equals, value = argument.partition("=")
    name = _SHORT.get(name, name) if equals or name == "-c" else name
    if name in _SWITCHES and not equals:
        return f"{name}=true"
    return f"{name}{equals}{value}"


def _branches(target: str) -> kinds.Branches:
    branches = kinds.TARGETS.get(target.lower())
    if branches is None:
        raise click.ClickException(str(filters.unknown_type(target, kinds.TARGETS)))
    return branches


def _filter(text: str) -> filters.Filter:
    try:
        return filters.parse(text, kinds.filter_words())
    except filters.UnknownType as error:
        raise click.ClickException(str(error)) from None


def _form(output: str) -> Callable[[tree.Node, bool], str]:
    """How the tree becomes text."""
    match output:
        case "table":
            return lambda root, colour: render.render(root, datetime.now(UTC), colour=colour)
        case "json":
            return lambda root, _: document.to_json(root)
        case "yaml":
            return lambda root, _: document.to_yaml(root)
        case _:
            raise click.ClickException(f"unsupported output format {output}; use table, json or yaml")


def _warn(inventory: kinds.Inventory) -> None:
    """An object that this version cannot read exists all the same; leaving it out silently would be a lie."""
    for bad in inventory.unreadable:
        click.echo(f"warning: not shown: {bad}", err=True)
