"""Reads every object of the wanted kinds once. Called by `command`; decides nothing about how they are shown.

A kind that the API server does not know has no objects. Any other failed read fails the whole command: a tree with a
silent hole would say that something is not there.
"""

from __future__ import annotations

import asyncio

import click

from dpf.api.meta import object_key
from dpf.cli.describe import kinds
from dpf.cli.describe.views import AnyView, DPFOperatorConfigView
from dpf.kube import errors
from dpf.kube.client import Client, Listing


async def discover(client: Client, branches: kinds.Branches) -> kinds.Inventory:
    """The objects of `branches` in all namespaces.

    Raises kube.errors.Error, and click.ClickException unless there is exactly one DPFOperatorConfig.
    """
    wanted = kinds.needed(branches)
    roots, *results = await asyncio.gather(
        _read(client, kinds.ROOT), *(_read(client, kind) for kind in wanted.values())
    )
    root = _only_root(roots)
    listings = {name: _complete(result) for name, result in zip(wanted, results, strict=True)}
    return kinds.Inventory(
        root=root,
        objects={name: listing.items for name, listing in listings.items()},
        unreadable=[
            f"{name} {bad.key} cannot be read: {bad.why}"
            for name, listing in listings.items() for bad in listing.unreadable
        ],
    )


async def _read(client: Client, kind: kinds.Kind) -> Listing[AnyView] | errors.Error:
    """The failure is a value, so that one failed list does not leave the others running behind our back."""
    try:
        return await client.list(kind.view, labels=kind.labels)
    except errors.Error as error:
        return error


def _complete(result: Listing[AnyView] | errors.Error) -> Listing[AnyView]:
    if isinstance(result, errors.NotFound):
        return Listing((), "")
    if isinstance(result, errors.Error):
        raise result
    return result


def _only_root(result: Listing[AnyView] | errors.Error) -> DPFOperatorConfigView:
    """The tree hangs below one object (behaviour-service.md 10.1)."""
    resource = DPFOperatorConfigView.resource
    if isinstance(result, errors.NotFound):
        raise click.ClickException(
            f"this cluster does not know the kind {resource.kind} ({resource.qualified_name}), so DPF is not installed "
            "in it. Install DPF, or choose the host cluster with --kubeconfig or KUBECONFIG."
        )
    listing = _complete(result)
    if len(listing.items) == 1 and not listing.unreadable:
        return listing.items[0]  # type: ignore[return-value]
    found = [str(object_key(item)) for item in listing.items] + [str(bad.key) for bad in listing.unreadable]
    if not found:
        raise click.ClickException(
            f"no {resource.kind} found: exactly one is needed. Create one (dpf-operator-system/dpfoperatorconfig), or "
            "choose the host cluster with --kubeconfig or KUBECONFIG."
        )
    if len(found) == 1:
        raise click.ClickException(
            f"{resource.kind} {found[0]} cannot be read: {listing.unreadable[0].why}. "
            "Use the dpfctl of the installed version."
        )
    raise click.ClickException(
        f"{len(found)} {resource.kind}s found ({', '.join(sorted(found))}): exactly one is needed. Delete the others."
    )
