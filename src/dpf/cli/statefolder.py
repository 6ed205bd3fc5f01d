"""What the verbs of `dpfctl local` share: which state folder, and how what the platform can explain is printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

T = TypeVar("T")

option = click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), default=None, envvar="DPF_STATE",
    help="State folder; every platform has its own. Default: ~/.local/state/dpf/default.",
)


def existing(state: Path | None) -> Any:  # noqa: ANN401 - Settings, imported lazily
    """What the platform in this folder, or in the usual one, is made of. Raises LocalError when there is none."""
    from dpf.local import errors
    from dpf.local.platform import settings

    where = (state or settings.default_state()).absolute()
    found = settings.load(where)
    if found is None:
        raise errors.LocalError(f"there is no platform in {where}; `dpfctl local up` makes one")
    return found


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run it in an event loop of its own."""
    return asyncio.run(work)


def guard(work: Callable[[], T]) -> T:
    """Run it; what the platform can explain is printed without a traceback and ends with 1."""
    from dpf.kube import errors as kube_errors
    from dpf.local import errors

    try:
        return work()
    except (errors.LocalError, kube_errors.Error) as error:
        raise click.ClickException(str(error)) from error
    except ExceptionGroup as group:
        known, other = group.split((errors.LocalError, kube_errors.Error))
        if other is not None or known is None:
            raise
        raise click.ClickException("\n".join(sorted({str(e) for e in _leaves(known)}))) from known
    except KeyboardInterrupt:
        click.echo("interrupted; `dpfctl local up` goes on from here, `dpfctl local down` removes it", err=True)
        sys.exit(130)


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    return [leaf for e in group.exceptions for leaf in (_leaves(e) if isinstance(e, ExceptionGroup) else [e])]
