"""Carries out the intents of a DPUNodeMaintenance: evictions. Called by the executor through the controller."""

from __future__ import annotations

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.provisioning.maintenance.drain import Evict, Refusal, Victim


async def carry_out(intent: Evict, host: Client) -> tuple[Refusal, ...]:
    """The pods that were not evicted, and why. Raises kube.errors.Error for what is no answer about a pod."""
    answers = [await _evict(victim, host) for victim in intent.pods]
    return tuple(answer for answer in answers if answer is not None)


async def _evict(victim: Victim, host: Client) -> Refusal | None:
    """A pod that is gone, or another one by now, needs no eviction; a budget's no is an answer and no failure."""
    key = victim.key
    eviction = core.Eviction(
        metadata=ObjectMeta(name=key.name, namespace=key.namespace),
        deleteOptions={"preconditions": {"uid": victim.uid}},
    )
    try:
        await host.create_subresource(core.Pod, key.name, key.namespace, subresource="eviction", body=eviction)
    except (errors.NotFound, errors.Conflict):
        return None
    except (errors.TooManyRequests, errors.ServerError) as error:
        return Refusal(pod=key, why=error.message)
    return None
