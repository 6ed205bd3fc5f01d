"""Carries out a Plan: the only place where planned actions become requests.

`pipeline` calls it once per pass. Steps run in order. Inside a step every action is tried: clusters at the same time,
the actions of one cluster one after the other. A cluster that did not answer is not asked again in the same pass, so
one dead cluster costs one timeout. What is refused becomes an `Outcome` with a text for people; nothing is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, assert_never

from dpf.api.meta import Key, object_key
from dpf.kube import client as port
from dpf.kube import errors
from dpf.runtime import plan as plans
from dpf.runtime.reconciler import DriverError
from dpf.runtime.writes import Writes

Connect = Callable[[Key], "port.Client | str"]
"""The client of a cluster (`plan.HOST` or a DPUCluster's key), or why there is none."""
Drive = Callable[[Any], Awaitable[Any]]

_DRIVER: Final = Key("", "driver")
"""Intents for a driver run one after the other, beside the clusters."""


class Executor:
    """Carries out the plans of one controller."""

    def __init__(self, *, connect: Connect, drive: Drive, field_owner: str, writes: Writes) -> None:
        self._connect = connect
        self._drive = drive
        self._field_owner = field_owner
        self._writes = writes

    async def carry_out(self, plan: plans.Plan) -> plans.Applied:
        """What became of each step of `plan`. Raises LeadershipLost; cancellation passes through."""
        results: list[plans.StepResult] = []
        silent: dict[Key, str] = {}
        stopped = False
        for step in plan.steps:
            result = plans.StepResult(name=step.name, ran=False)
            if not stopped:
                outcomes = await self._run(step.actions, silent)
                result = plans.StepResult(name=step.name, ran=True, outcomes=outcomes, findings=step.findings)
                stopped = step.blocks and not result.succeeded
            results.append(result)
        return plans.Applied(results=tuple(results), by_name={r.name: r for r in results})

    async def _run(self, actions: Sequence[plans.Action], silent: dict[Key, str]) -> tuple[plans.Outcome, ...]:
        groups: dict[Key, list[int]] = {}
        for index, action in enumerate(actions):
            groups.setdefault(_group(action), []).append(index)
        outcomes: dict[int, plans.Outcome] = {}

        async def in_order(indexes: Sequence[int]) -> None:
            for index in indexes:
                outcomes[index] = await self._outcome(actions[index], silent)

        await _together([in_order(indexes) for indexes in groups.values()])
        return tuple(outcomes[index] for index in range(len(actions)))

    async def _outcome(self, action: plans.Action, silent: dict[Key, str]) -> plans.Outcome:
        answer = None
        try:
            if isinstance(action, plans.Drive):
                answer = await self._drive_intent(action)
            else:
                await self._in_cluster(action, silent)
        except errors.Error as error:
            return plans.Outcome(
                action=action, error=_explain(action, error), retryable=isinstance(error, errors.Transient),
                outdated=_is_outdated(action, error),
            )
        except DriverError as error:
            return plans.Outcome(action=action, error=str(error), retryable=error.retryable)
        return plans.Outcome(action=action, answer=answer)

    async def _drive_intent(self, action: plans.Drive) -> Any:  # noqa: ANN401 - each domain has its own answers
        return await self._writes.write("drive", type(action.intent).__name__, lambda: self._drive(action.intent))

    async def _in_cluster(self, action: plans.Apply | plans.Patch | plans.Delete, silent: dict[Key, str]) -> None:
        client = silent.get(action.cluster) or self._connect(action.cluster)
        if isinstance(client, str):
            raise errors.Unreachable(client)
        try:
            await self._request(client, action)
        except (errors.Unreachable, errors.Timeout) as error:
            silent[action.cluster] = str(error)
            raise

    async def _request(self, client: port.Client, action: plans.Apply | plans.Patch | plans.Delete) -> None:
        match action:
            case plans.Apply():
                kind = type(action.object).resource.kind
                await self._writes.write(
                    "apply", kind, lambda: client.apply(action.object, field_owner=self._field_owner, force=True)
                )
            case plans.Patch():
                await self._writes.write("patch", action.kind.resource.kind, lambda: client.patch(
                    action.kind, action.key.name, action.key.namespace or None, patch=action.patch,
                    type=_patch_type(action), field_owner=self._field_owner,
                ))
            case plans.Delete():
                await self._delete(client, action)
            case _:
                assert_never(action)

    async def _delete(self, client: port.Client, action: plans.Delete) -> None:
        """Gone already counts as done; so does a namesake with another uid, for the one we meant is gone."""
        try:
            await self._writes.write("delete", action.kind.resource.kind, lambda: client.delete(
                action.kind, action.key.name, action.key.namespace or None, uid=action.uid,
                resource_version=action.version,
            ))
        except errors.NotFound:
            return
        except errors.Conflict:
            if action.uid is None or action.version is not None:
                raise


def describe(action: plans.Action) -> str:
    """`<verb> <Kind> <namespace>/<name> in <cluster>`, as error texts and logs name an action."""
    match action:
        case plans.Apply():
            what = f"apply {type(action.object).resource.kind} {object_key(action.object)}"
        case plans.Patch():
            what = f"patch {action.kind.resource.kind} {action.key}"
        case plans.Delete():
            what = f"delete {action.kind.resource.kind} {action.key}"
        case plans.Drive():
            return type(action.intent).__name__
        case _:
            assert_never(action)
    return f"{what} in {'the host cluster' if action.cluster == plans.HOST else f'cluster {action.cluster}'}"


def _explain(action: plans.Action, error: errors.Error) -> str:
    return f"{describe(action)}: {error}"


def _is_outdated(action: plans.Action, error: errors.Error) -> bool:
    """Whether the world has moved on since the pass looked: the object has changed, or has gone."""
    gone = isinstance(action, plans.Patch) and isinstance(error, errors.NotFound)
    return gone or isinstance(error, errors.Conflict)


def _patch_type(action: plans.Patch) -> port.PatchType:
    return port.PatchType.MERGE if isinstance(action.patch, Mapping) else port.PatchType.JSON


def _group(action: plans.Action) -> Key:
    return _DRIVER if isinstance(action, plans.Drive) else action.cluster


async def _together(works: Sequence[Awaitable[None]]) -> None:
    """All of them at the same time; when one raises, or we are cancelled, none is left running."""
    if len(works) == 1:
        await works[0]
        return
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
