"""What service chains and their interfaces would report, from the objects alone: nothing is wired.

A chain or an interface is Ready as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from dpf.api.dpuservicechain import ConditionType as ChainCondition
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceinterface import ConditionType as InterfaceCondition
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.runtime.conditions import true
from dpf.runtime.plan import Applied, Plan
from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler, Verdict, Watch


class Spokesman(Reconciler[Any, Any]):
    """Says that every condition of an object holds."""

    field_owner = "standin"

    @property
    def watches(self) -> Sequence[Watch]:
        """Nothing else."""
        return ()

    async def observe(self, root: Any) -> Any:  # noqa: ANN401 - the object itself
        """The object itself."""
        return root

    def plan(self, snapshot: Any, now: datetime) -> Plan:  # noqa: ANN401, ARG002
        """Nothing."""
        return Plan()

    def plan_teardown(self, snapshot: Any, now: datetime) -> Plan:  # noqa: ANN401, ARG002
        """Nothing: it holds nothing up."""
        return Plan(release=True)

    def status(self, snapshot: Any, plan: Plan, applied: Applied, now: datetime) -> Verdict:  # noqa: ANN401, ARG002
        """All hold."""
        return Verdict(states={type_: true() for type_ in self.condition_types if type_ != "Ready"})


class ChainSpokesman(Spokesman):
    """For DPUServiceChains."""

    kind = DPUServiceChain
    name = "standin-dpuservicechain"
    condition_types: ClassVar[Sequence[str]] = tuple(ChainCondition)


class InterfaceSpokesman(Spokesman):
    """For DPUServiceInterfaces."""

    kind = DPUServiceInterface
    name = "standin-dpuserviceinterface"
    condition_types: ClassVar[Sequence[str]] = tuple(InterfaceCondition)


def build(world: World) -> list[Reconciler[Any, Any]]:  # noqa: ARG001 - the contract
    """Both."""
    return [ChainSpokesman(), InterfaceSpokesman()]
