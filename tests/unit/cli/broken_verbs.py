"""Verbs that end as no verb should."""

from __future__ import annotations

import click


@click.command()
def defect() -> None:
    raise LookupError("with a password in it")


@click.command()
def interrupted() -> None:
    raise KeyboardInterrupt


@click.command()
def refused() -> None:
    raise click.ClickException("the cluster is on holiday")
