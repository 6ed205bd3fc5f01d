"""Carries out the intents of a DPUSet that are neither apply nor patch of a whole object. Called by the controller."""

from __future__ import annotations

from typing import assert_never

from dpf.api.dpu import DPU
from dpf.api.meta import object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.dpuset import plan
from dpf.provisioning.dpuset.plan import Create, Intent, Mark
from dpf.runtime.reconciler import DriverError


async def carry_out(client: Client, intent: Intent, *, field_owner: str) -> None:
    """Make or mark one DPU of the host cluster.

    Raises kube.errors.Conflict when the cache was late: the DPU exists already, whoever made it, or has changed.
    Raises DriverError, which names the DPU, for everything else that goes wrong.
    """
    match intent:
        case Create(dpu=dpu):
            await _create(client, dpu)
        case Mark():
            await _mark(client, intent, field_owner)
        case _:
            assert_never(intent)


async def _create(client: Client, dpu: DPU) -> None:
    try:
        await client.create(dpu)
    except errors.AlreadyExists as error:
        raise errors.Conflict(f"create DPU {object_key(dpu)}: {error}") from None
    except errors.Error as error:
        raise _failed(f"create DPU {object_key(dpu)}", error) from None


async def _mark(client: Client, mark: Mark, field_owner: str) -> None:
    patch = plan.outdated_patch(mark)
    try:
        await client.patch(
            DPU, mark.key.name, mark.key.namespace, patch=patch, subresource="status", field_owner=field_owner
        )
    except errors.NotFound as error:
        raise errors.Conflict(f"mark DPU {mark.key}: {error}") from None
    except errors.Conflict:
        raise
    except errors.Error as error:
        raise _failed(f"mark DPU {mark.key}", error) from None


def _failed(what: str, error: errors.Error) -> DriverError:
    return DriverError(f"{what}: {error}", retryable=isinstance(error, errors.Transient))
