"""The host cluster for verbs that read it: which kubeconfig, one client for the length of the verb, errors for people.

Called by every verb that talks to a cluster. Importing it costs no HTTP client; only `run` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from dpf.kube import errors
    from dpf.kube.client import Client

T = TypeVar("T")

KUBECONFIG: Final = "kubeconfig"


def kubeconfig_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds `--kubeconfig`, which may stand before or after the verb."""
    return click.option(
        f"--{KUBECONFIG}", metavar="FILE", expose_value=False, callback=_remember, is_eager=True,
        help="Kubeconfig of the host cluster.  [default: $KUBECONFIG, the pod's own, ~/.kube/config]",
    )(command)


def run(work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` returns for a client of the chosen host cluster. Raises click.ClickException when it cannot be read."""
    from dpf.kube import errors

    try:
        return asyncio.run(_with_client(work, click.get_current_context().find_root().meta.get(KUBECONFIG)))
    except errors.Error as error:
        raise click.ClickException(explain(error)) from error


async def _with_client(work: Callable[[Client], Awaitable[T]], path: str | None) -> T:
    from dpf.kube import connect

    async with connect.client(path) as client:
        return await work(client)


def explain(error: errors.Error) -> str:
    """What is wrong and what to do next. The error's own text holds no secret (kube.errors)."""
    from dpf.kube import errors

    text = f"{error.message} ({error.request})" if error.request and error.request not in error.message else error.message
    for type_, advice in (
        (errors.CredentialsError, "Choose a kubeconfig with --kubeconfig FILE or KUBECONFIG; for a local platform: "
                                  'eval "$(dpfctl local env)" and --kubeconfig "$HOST_KUBECONFIG".'),
        (errors.Unreachable, "Check that the cluster runs and that the kubeconfig names its address (a local platform: "
                             "dpfctl local status)."),
        (errors.Timeout, "The API server is slow or behind a filter; try again, or check the address in the kubeconfig."),
        (errors.Unauthorized, "The cluster does not accept the credentials of this kubeconfig; renew them."),
        (errors.Forbidden, "Ask the cluster's administrator for the right to list this kind in all namespaces."),
        (errors.Transient, "Try again in a moment."),
    ):
        if isinstance(error, type_):
            return f"{text.rstrip('.')}. {advice}"
    return text


def _remember(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.find_root().meta[KUBECONFIG] = value
