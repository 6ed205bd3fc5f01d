"""Whether Applications are ready, and in words why not (behaviour-service.md 3.7, seed 001).

Pure. Called by this kind's status. The documented text comes first and unchanged; what Argo CD says about the cause and
what to do follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from dpf.api.argocd import Application, ApplicationStatus
from dpf.api.meta import object_key
from dpf.runtime import conditions
from dpf.services import values
from dpf.services.argocd import build, diagnosis

UNSEEN_AFTER_S: Final = 60.0
"""An Application that Argo CD has not looked at for so long means that Argo CD is not working."""


def state(found: Iterable[tuple[build.Destination, Application | None]], now: datetime) -> conditions.State:
    """The state of ApplicationsReady over all destinations. One unready Application speaks for itself."""
    unready = [(destination, app, text) for destination, app in found if (text := problem(app, now)) is not None]
    if not unready:
        return conditions.true()
    if len(unready) == 1:
        return conditions.false(conditions.Reason.PENDING, unready[0][2])
    items = [f"{object_key(app) if app else destination.name}: {text}" for destination, app, text in unready]
    return conditions.false(conditions.Reason.PENDING, bullets("The following applications are not ready", items))


def problem(app: Application | None, now: datetime) -> str | None:
    """Why the Application of a destination is not ready; None when it is."""
    if app is None:
        return "Application is not yet deployed."
    sync, health = app.status.sync.status, app.status.health.status
    if not sync and not health:
        return f"Application is not yet deployed.{_unseen(app, now)}"
    if app.metadata.deletionTimestamp is not None:
        return f"Application {object_key(app)} is being deleted."
    stale = _is_stale(app)
    if sync == "Synced" and health == "Healthy" and not stale:
        return None
    name, namespace = app.metadata.name, app.metadata.namespace
    return (
        f"Application is not ready (Sync: {sync or ''}, Health: {health or ''})."
        f" Run 'kubectl describe application {name} -n {namespace}' for details.{_cause(app.status, stale=stale)}"
    )


def unseen_for_s(app: Application, now: datetime) -> float | None:
    """Seconds that a new Application has waited for Argo CD's first look; None once it came."""
    if app.status.sync.status or app.status.health.status or not app.metadata.creationTimestamp:
        return None
    created = datetime.fromisoformat(app.metadata.creationTimestamp).astimezone(UTC)
    return (now - created).total_seconds()


def bullets(head: str, items: Sequence[str]) -> str:
    """`head:` and one line `* item` each; empty without items (behaviour-service.md 1.1)."""
    return "\n* ".join([f"{head}:", *items]) if items else ""


def _is_stale(app: Application) -> bool:
    """Whether the sync status speaks about another source. Argo CD drops nulls and empty strings from its copy."""
    compared = app.status.sync.comparedTo
    if compared is None or compared.source is None:
        return False
    seen, wanted = (values.settled(msgspec.to_builtins(source)) for source in (compared.source, app.spec.source))
    return not values.same(seen, wanted)


def _unseen(app: Application, now: datetime) -> str:
    waited = unseen_for_s(app, now)
    if waited is None or waited <= UNSEEN_AFTER_S:
        return _cause(app.status)
    return (
        f" Argo CD has not looked at it since {app.metadata.creationTimestamp}:"
        " check that argocd-application-controller runs."
    )


def _cause(status: ApplicationStatus, *, stale: bool = False) -> str:
    """What Argo CD reports: its first error, else the failed sync, else the reason for bad health.

    Health speaks about what was installed last, so of an Application that Argo CD has not compared yet only errors are
    told.
    """
    errors = [c.message for c in status.conditions or () if c.type.endswith("Error")]
    if not errors and status.operationState and status.operationState.phase in {"Failed", "Error"}:
        errors = [status.operationState.message or ""]
    if stale and not any(errors):
        return " Argo CD has not compared it with the latest change yet."
    if not errors and status.health.message:
        errors = [status.health.message]
    return f" Argo CD says: {diagnosis.explain(errors[0])}" if errors and errors[0] else ""
