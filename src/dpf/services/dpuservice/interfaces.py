"""The DPUServiceInterfaces that a DPUService names (behaviour-service.md 3.3).

Pure. Called by this kind's planner before anything else: a missing interface keeps the service from being installed.
"""

from __future__ import annotations

from collections.abc import Iterable

from dpf.api.dpuservice import DPUService

RESOURCE = "dpuserviceinterfaces.svc.dpu.nvidia.com"


def problems(service: DPUService, existing: Iterable[str] = ()) -> Iterable[str]:
    """What is wrong with each of `spec.interfaces`, in the words of the API server.

    `existing` are the names of DPUServiceInterfaces in the service's namespace. As long as that kind is not served,
    there are none.
    """
    known = frozenset(existing)
    for name in (service.spec.interfaces if service.spec else None) or ():
        if name not in known:
            yield f'{RESOURCE} "{name}" not found'
