"""Tells the API server about a pod: its status where it differs, and at last that it is gone from this node.

Called by `podworker`, which goes on with its containers whatever becomes of a report.
"""

from __future__ import annotations

from typing import Final

import structlog

from dpf.api import core
from dpf.api.meta import object_key
from dpf.emulation.kubelet import nodeclient, podstatus
from dpf.emulation.kubelet.retry import Retry
from dpf.kube import client as port
from dpf.kube import errors
from dpf.kube.client import Client
from dpf.runtime.clock import Clock

_LOG: Final = structlog.get_logger(__name__)


class PodGone(Exception):
    """The API server has no such pod any more, or a namesake of it."""


class PodReporter:
    """Reports of one pod. `retry` tells when a failed one is tried again."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.retry = Retry()

    async def report(self, pod: core.Pod, wanted: core.PodStatus) -> core.Pod | None:
        """The pod with that status at the API server; None when it could not be told. Raises PodGone."""
        changes = podstatus.changes(pod.status, wanted)
        if not changes:
            self.retry.succeeded()
            return pod
        if not self.retry.is_due(self._clock.now()):
            return None
        meta = pod.metadata
        try:
            # The uid makes the server refuse the patch for a namesake that was created since.
            reported = await self._client.patch(
                core.Pod, meta.name, meta.namespace, patch={"metadata": {"uid": meta.uid}, "status": changes},
                type=port.PatchType.STRATEGIC, subresource="status",
            )
        except (errors.NotFound, errors.Conflict) as error:
            raise PodGone(str(error)) from error
        except errors.Error as error:
            self._failed("cannot report pod status", pod, error)
            return None
        self.retry.succeeded()
        return reported

    async def delete(self, pod: core.Pod) -> bool:
        """Delete the object, because nothing of the pod is left here; whether it is gone."""
        if not self.retry.is_due(self._clock.now()):
            return False
        try:
            await nodeclient.delete_pod_now(self._client, pod)
        except (errors.NotFound, errors.Conflict):
            return True
        except errors.Error as error:
            self._failed("cannot delete pod", pod, error)
            return False
        return True

    def _failed(self, what: str, pod: core.Pod, error: errors.Error) -> None:
        self.retry.failed(self._clock.now())
        _LOG.warning(what, object=str(object_key(pod)), why=str(error))
