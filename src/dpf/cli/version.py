"""`dpfctl version`."""

from __future__ import annotations

import click

import dpf


@click.command()
def version() -> None:
    """Print the version of dpfctl."""
    click.echo(f"dpfctl {dpf.__version__}")
