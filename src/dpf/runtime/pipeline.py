"""One pass over one root: observe, plan, carry out, status, finalizer (style.md 2.2).

`controller` calls `run` with a key and gets a `Result`. The order of writes is what makes a crash harmless: the
finalizer goes on before anything else is made, the status is written after the actions, and the finalizer comes off
last. Every write of the root itself is conditional on the version that the pass has read. Nothing is remembered here
that a restart would miss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpf.api.meta import Key, Object, object_key
from dpf.kube import client as port
from dpf.kube import errors
from dpf.kube.cache import Cache
from dpf.runtime import plan as plans
from dpf.runtime import result as results
from dpf.runtime import statuspatch
from dpf.runtime.clock import Clock, rfc3339
from dpf.runtime.events import Recorder
from dpf.runtime.executor import Executor
from dpf.runtime.freshness import Freshness
from dpf.runtime.reconciler import Reconciler
from dpf.runtime.writes import Writes

AnyReconciler = Reconciler[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a pass needs of the world: the host cluster to read and write roots, the rest to carry out plans."""

    client: port.Client
    cache: Cache
    executor: Executor
    writes: Writes
    recorder: Recorder
    freshness: Freshness
    clock: Clock


class Pipeline:
    """Passes over the roots of one reconciler."""

    def __init__(self, reconciler: AnyReconciler, ports: Ports) -> None:
        self._reconciler = reconciler
        self._ports = ports

    async def run(self, key: Key) -> results.Result:
        """One pass.

        Raises LeadershipLost, kube.errors.Error when something could not be read, and whatever a bug raises.
        """
        reconciler = self._reconciler
        root = self._ports.cache.get(reconciler.kind, key)
        if root is None or not reconciler.selects(root):
            self._ports.freshness.forget(key)
            return results.Absent()
        lag_s = self._ports.freshness.lag_s(key, root.metadata.resourceVersion or "")
        if lag_s is not None:
            return results.Held(lag_s)
        deleting = root.metadata.deletionTimestamp is not None
        ours = reconciler.finalizer is not None and reconciler.finalizer in (root.metadata.finalizers or ())
        if deleting and not ours:
            return results.Done()
        if reconciler.finalizer is not None and not ours:
            return await self._add_finalizer(root, reconciler.finalizer)
        return await self._reconcile(root, deleting=deleting)

    async def _reconcile(self, root: Object, *, deleting: bool) -> results.Result:
        reconciler, ports = self._reconciler, self._ports
        snapshot = await reconciler.observe(root)
        now = ports.clock.now()
        plan = reconciler.plan_teardown(snapshot, now) if deleting else reconciler.plan(snapshot, now)
        applied = await ports.executor.carry_out(plan)
        ports.recorder.record(root, applied)
        outcome = results.conclude(plan, applied)
        if plan.paused or isinstance(outcome, results.Outdated):
            return outcome
        patch = statuspatch.compute(
            root, reconciler.status(snapshot, plan, applied, now), types=reconciler.condition_types,
            observes_generation=reconciler.observes_generation, now=rfc3339(now),
            keeps_unseen=reconciler.keeps_unseen_conditions,
        )
        version = root.metadata.resourceVersion
        if patch is not None:
            written = await self._write_root(root, patch, subresource="status", echo=True)
            if not isinstance(written, str):
                return written
            version = written
        if deleting and plan.release and _may_release(plan, applied):
            return await self._release(root, version)
        return outcome

    async def _add_finalizer(self, root: Object, finalizer: str) -> results.Result:
        """A pass of its own: the watch event about it starts the next one."""
        finalizers = [*(root.metadata.finalizers or ()), finalizer]
        return await self._set_finalizers(root, root.metadata.resourceVersion, finalizers)

    async def _release(self, root: Object, version: str | None) -> results.Result:
        kept = [f for f in root.metadata.finalizers or () if f != self._reconciler.finalizer]
        return await self._set_finalizers(root, version, kept)

    async def _set_finalizers(self, root: Object, version: str | None, finalizers: list[str]) -> results.Result:
        patch = {"metadata": {"resourceVersion": version, "finalizers": finalizers or None}}
        written = await self._write_root(root, patch, subresource=None, echo=False)
        return results.Done() if isinstance(written, str) else written

    async def _write_root(
        self, root: Object, patch: Mapping[str, Any], *, subresource: str | None, echo: bool,
    ) -> str | results.Retry | results.Outdated | results.Absent:
        """The new resourceVersion, or how the pass ends instead: the root is gone, or the write has to be repeated."""
        reconciler, key, kind = self._reconciler, object_key(root), type(root)
        what = subresource or "finalizers"
        try:
            written = await self._ports.writes.write("patch", f"{kind.resource.kind}/{what}", lambda: (
                self._ports.client.patch(
                    kind, key.name, key.namespace or None, patch=patch, subresource=subresource,
                    field_owner=reconciler.field_owner,
                )
            ))
        except errors.NotFound:
            return results.Absent()
        except errors.Conflict as error:
            return results.Outdated(f"patch {what} of {kind.resource.kind} {key}: {error}")
        except errors.Error as error:
            return results.Retry(f"patch {what} of {kind.resource.kind} {key}: {error}")
        version = written.metadata.resourceVersion or ""
        self._ports.freshness.wrote(key, version, echo=echo)
        return version


def _may_release(plan: plans.Plan, applied: plans.Applied) -> bool:
    """Every step ran, and each one that blocks succeeded; what is best effort does not keep the object."""
    pairs = zip(plan.steps, applied.results, strict=True)
    return all(result.ran and (result.succeeded or not step.blocks) for step, result in pairs)
