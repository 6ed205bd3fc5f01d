"""Carries out the intents of a DPUSet that are neither apply nor patch of a whole object. Called by the controller."""

from __future__ import annotations

from typing import assert_never

from dpf.api.dpu import DPU
from dpf.api.meta import object_key
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.dpuset import plan
from dpf.provisioning.dpuset.plan import Create, Intent, Mark


async def carry_out(client: Client, intent: Intent, *, field_owner: str) -> None:
    """Make or mark one DPU of the host cluster. Raises kube.errors.Error.

    Conflict says that the cache was late: the DPU exists already, whoever made it, or has changed.
    """
    match intent:
        case Create():
            try:
                await client.create(intent.dpu)
            except errors.AlreadyExists as error:
                raise errors.Conflict(f"DPU {object_key(intent.dpu)}: {error}") from None
        case Mark():
            await client.patch(
                DPU, intent.key.name, intent.key.namespace, patch=plan.outdated_patch(intent), subresource="status",
                field_owner=field_owner,
            )
        case _:
            assert_never(intent)
