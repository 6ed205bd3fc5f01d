"""The host cluster for verbs that read it: which kubeconfig, one client for the length of the verb, errors for people.

Called by every verb that talks to a cluster. Importing it costs no HTTP client; only `run` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import click

from dpf.kube import errors

if TYPE_CHECKING:
    from dpf.kube.client import Client

T = TypeVar("T")

_KUBECONFIG: Final = "dpf.cli.kubeconfig"

# The first type that fits an error tells what to do next; narrower types stand before wider ones.
_ADVICE: Final[tuple[tuple[type[errors.Error], str], ...]] = (
    (
        errors.CredentialsError,
        "Choose a kubeconfig with --kubeconfig FILE or KUBECONFIG (`dpfctl local env` prints a local platform's).",
    ),
    (
        errors.Unreachable,
        "Check that the cluster runs (`dpfctl local status` for a local platform) and the address in the kubeconfig.",
    ),
    (errors.Timeout, "The API server is slow or behind a filter: try again, or check its address in the kubeconfig."),
    (errors.Unauthorized, "The cluster does not accept the credentials of this kubeconfig: renew them."),
    (errors.Forbidden, "Ask the cluster's administrator for the right to list this kind in all namespaces."),
    (errors.Transient, "Try again in a moment."),
)


def kubeconfig_option(command: Callable[..., object]) -> Callable[..., object]:
    """Adds `--kubeconfig`, which may stand before or after the verb."""
    return click.option(
        "--kubeconfig", metavar="FILE", expose_value=False, callback=_remember,
        help="Kubeconfig of the host cluster.  [default: $KUBECONFIG, the pod's own, ~/.kube/config]",
    )(command)


def run(work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` returns, given a client of the chosen host cluster. Raises click.ClickException when it fails."""
    import asyncio

    try:
        return asyncio.run(_with_client(work, click.get_current_context().meta.get(_KUBECONFIG)))
    except errors.Error as error:
        raise click.ClickException(explain(error)) from error


async def _with_client(work: Callable[[Client], Awaitable[T]], path: str | None) -> T:
    from dpf.kube import connect

    async with connect.client(path) as client:
        return await work(client)


def explain(error: errors.Error) -> str:
    """What is wrong and what to do next. The error's own text holds no secret (kube.errors)."""
    text = error.message.rstrip(".")
    if error.request and error.request not in text:
        text += f" ({error.request})"
    advice = next((advice for type_, advice in _ADVICE if isinstance(error, type_)), "")
    return f"{text}. {advice}" if advice else text


def _remember(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[_KUBECONFIG] = value
