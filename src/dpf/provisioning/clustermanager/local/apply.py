"""Carry out the local cluster manager's intents: the driver's, and the objects inside the DPU cluster.

Called by the runtime's executor through the controller. Objects of the host cluster are ordinary actions of the plan.
The DPU cluster is reached directly, because the cluster registry connects only to clusters that are Created already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from dpf.kube import kubeconfig
from dpf.kube.client import Client
from dpf.kube.http import HTTPClient
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlane
from dpf.provisioning.clustermanager.local.plan import (
    EnsureControlPlane,
    InstallJoiningObjects,
    Intent,
    RemoveControlPlane,
)

FIELD_OWNER: Final = "cluster-manager-local"


async def carry_out(intent: Intent, *, control_plane: ControlPlane, connect: Callable[[Access], Client]) -> None:
    """Raises reconciler.DriverError, kube.errors.Error."""
    match intent:
        case EnsureControlPlane(identity=identity):
            await control_plane.ensure(identity)
        case RemoveControlPlane(identity=identity):
            await control_plane.remove(identity)
        case InstallJoiningObjects():
            await _install(intent, connect)
        case _:
            assert_never(intent)


def connect(access: Access) -> Client:
    """A client of a control plane that we made. Raises kube.errors.CredentialsError."""
    return HTTPClient(kubeconfig.from_secret(access.kubeconfig, source=access.endpoint), name=access.endpoint)


async def _install(intent: InstallJoiningObjects, connect: Callable[[Access], Client]) -> None:
    client = connect(intent.access)
    try:
        for obj in intent.objects:
            await client.apply(obj, field_owner=FIELD_OWNER)
    finally:
        await client.aclose()
