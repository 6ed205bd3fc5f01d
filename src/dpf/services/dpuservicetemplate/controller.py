"""DPUServiceTemplate: guarantees that status.versions are what the chart of the present source states.

Reads the chart's annotations from its repository, keeps `dpu.nvidia.com/doca-version`, and writes status only. A source
is read once per process; in between, and while its repository is down, what was read from it stands. Continues:
DPUDeployments, which compare the versions with their BFB. Decision: docs/adr/0010.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property

from dpf.api import core, names
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpuservicetemplate import ConditionType, DPUServiceTemplate
from dpf.api.meta import Key, object_key
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.clock import Clock
from dpf.runtime.mirrors import NONE, Mirrors
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.reconciler import Permission, Reconciler, Verdict, Watch
from dpf.services.dpuservicetemplate import observe, plan, status, watches
from dpf.services.dpuservicetemplate.readings import Readings
from dpf.services.dpuservicetemplate.snapshot import Snapshot
from dpf.services.helm.port import Charts

_READ = ("get", "list", "watch")


class DPUServiceTemplateController(Reconciler[DPUServiceTemplate, Snapshot]):
    """One controller for all DPUServiceTemplates. `mirrors` come from the process's settings."""

    kind = DPUServiceTemplate
    name = "dpuservicetemplate"
    field_owner = "dpuservicetemplatecontroller"
    finalizer = names.DPUSERVICETEMPLATE_FINALIZER
    condition_types = tuple(ConditionType)
    permissions = (
        Permission(kind=DPUServiceTemplate, verbs=(*_READ, "patch"), subresources=("status", "finalizers")),
        Permission(kind=DPFOperatorConfig, verbs=_READ),
        # Credentials and certificates of repositories, in the namespace that the DPFOperatorConfig names.
        Permission(kind=core.Secret, verbs=("list", "watch")),
        Permission(kind=core.ConfigMap, verbs=("get",)),
    )

    def __init__(
        self, *, clusters: ClusterRegistry, charts: Charts, clock: Clock, mirrors: Mirrors = NONE,
        dpf_namespace: str = names.DPF_NAMESPACE,
    ) -> None:
        self._clusters = clusters
        self._world = observe.World(
            clusters=clusters, readings=Readings(charts, clock), mirrors=mirrors, dpf_namespace=dpf_namespace
        )

    @cached_property
    def watches(self) -> Sequence[Watch]:
        """Credentials, and where they lie."""
        return watches.build(self._unread)

    async def observe(self, root: DPUServiceTemplate) -> Snapshot:
        """See `observe.snapshot`."""
        return await observe.snapshot(self._world, root)

    def plan(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan`."""
        return plan.plan(snapshot)

    def plan_teardown(self, snapshot: Snapshot, now: datetime) -> Plan:  # noqa: ARG002 - the contract
        """See `plan.plan_teardown`."""
        return plan.plan_teardown(snapshot)

    def status(self, snapshot: Snapshot, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ARG002
        """See `status.compute`."""
        return status.compute(snapshot)

    def _unread(self) -> Iterable[Key]:
        found = self._clusters.host.cache.by_index(DPUServiceTemplate, watches.UNREAD, "")
        return [object_key(template) for template in found]
