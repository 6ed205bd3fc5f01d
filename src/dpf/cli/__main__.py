"""Entry point of `dpfctl`: the list of verbs, exit codes, and how an error is printed.

A verb's module is imported when the verb is used, so `dpfctl --help` costs click and nothing else. Exit codes: 0 done,
1 any error (behaviour-service.md 10.1), 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from dpf.cli import cluster

OK, FAILED, INTERRUPTED = 0, 1, 130
DEBUG: Final = "DPFCTL_DEBUG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Where a verb lives (`module:attribute`, a click command) and its line in the help."""

    target: str
    summary: str


VERBS: Final[Mapping[str, Verb]] = {
    "describe": Verb(
        target="dpf.cli.describe.command:describe", summary="Show objects, what they are made of and what is not ready."
    ),
    "local": Verb(
        target="dpf.cli.local:local", summary="Run the whole system on this machine: real engines, emulated DPUs."
    ),
    "version": Verb(target="dpf.cli.version:version", summary="Print the version of dpfctl."),
}


class LazyGroup(click.Group):
    """A group whose commands are in `VERBS`; help lists them without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs by name."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The verb, imported now; None when there is none of that name."""
        verb = VERBS.get(cmd_name)
        return load(verb) if verb else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """The help's list of verbs."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in sorted(VERBS.items())])


def load(verb: Verb) -> click.Command:
    """Import the command of `verb`."""
    module, _, attribute = verb.target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{verb.target} is not a command")
    return command


@click.command(cls=LazyGroup, name="dpfctl", context_settings={"help_option_names": ["-h", "--help"]})
@cluster.kubeconfig_option
def dpfctl() -> None:
    """Look after DPUs, their services and their service chains."""


def run(arguments: Sequence[str]) -> int:
    """Run `dpfctl` with `arguments` and return its exit code; every error is printed here, none as a traceback."""
    try:
        result = dpfctl.main(args=list(arguments), prog_name="dpfctl", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.format_message())
        return OK
    except click.ClickException as error:
        _print(error)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        name = type(error).__name__
        click.echo(f"error: this is a defect of dpfctl: {name}; run again with {DEBUG}=1 for details", err=True)
        return FAILED
    return result if isinstance(result, int) else OK


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def _print(error: click.ClickException) -> None:
    click.echo(f"error: {error.format_message()}", err=True)
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "dpfctl"
        click.echo(f"Run '{command} --help' for usage.", err=True)


if __name__ == "__main__":
    main()
