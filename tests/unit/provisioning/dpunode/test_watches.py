"""Which changes of a DPU a DPUNode has to hear of (behaviour-provisioning.md section 4 and 7)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dpf.api.dpu import DPU, DPUSpec, DPUStatus, Phase, RebootPhase, RebootStatus
from dpf.api.meta import Key, Object, ObjectMeta
from dpf.provisioning.dpunode import watches

HOST = Key("dpf", "worker-1")


def a_dpu(phase: Phase, name: str = "worker-1-d1", *, reboot: RebootStatus | None = None) -> DPU:
    return DPU(
        metadata=ObjectMeta(name=name, namespace=HOST.namespace), spec=DPUSpec(dpuNodeName=HOST.name),
        status=DPUStatus(phase=phase, rebootStatus=reboot),
    )


def told(old: DPU | None, new: DPU | None, *siblings: DPU) -> list[Key]:
    """The DPUNodes that hear of the change, among `siblings` on the same host."""

    def find(kind: type[Object], index: str, value: str) -> Iterable[Object]:
        assert (kind, index, value) == (DPU, watches.ON_NODE, str(HOST))
        return [dpu for dpu in (new, *siblings) if dpu is not None]

    (watch,) = [one for one in watches.build(find, lambda: ()) if one.kind is DPU]
    return list(watch.maps(old, new))


STEPS = [
    (Phase.INITIALIZING, Phase.PENDING), (Phase.PREPARE_BFB, Phase.OS_INSTALLING),
    (Phase.DPU_CLUSTER_CONFIG, Phase.SERVICE_READINESS), (Phase.NODE_EFFECT_REMOVAL, Phase.READY),
]


@pytest.mark.parametrize(("before", "after"), [
    (Phase.NODE_EFFECT, Phase.INITIALIZE_INTERFACE), (Phase.DPU_CONFIG, Phase.DPU_CLUSTER_CONFIG),
    (Phase.DPU_CONFIG, Phase.REBOOTING), (Phase.REBOOTING, Phase.DPU_CLUSTER_CONFIG),
    (Phase.OS_INSTALLING, Phase.ERROR), (Phase.PREPARE_BFB, Phase.DELETING),
])
def test_where_the_host_may_have_to_do_something_it_hears(before: Phase, after: Phase) -> None:
    assert told(a_dpu(before), a_dpu(after)) == [HOST]


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_of_the_steps_in_between_the_host_of_a_single_dpu_hears_nothing(before: Phase, after: Phase) -> None:
    assert told(a_dpu(before), a_dpu(after)) == []


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_a_sibling_is_told_what_it_waits_for(before: Phase, after: Phase) -> None:
    assert told(a_dpu(before), a_dpu(after), a_dpu(Phase.REBOOTING, "worker-1-d2")) == [HOST]


def test_a_reboot_is_heard_of_in_whatever_phase() -> None:
    asked = RebootStatus(method="PowerCycle", phase=RebootPhase.PENDING)
    assert told(a_dpu(Phase.OS_INSTALLING), a_dpu(Phase.DPU_CONFIG, reboot=asked)) == [HOST]


def test_coming_and_going_are_heard_of() -> None:
    assert told(None, a_dpu(Phase.OS_INSTALLING)) == [HOST]
    assert told(a_dpu(Phase.OS_INSTALLING), None) == [HOST]


def test_what_happens_inside_a_phase_is_not() -> None:
    assert told(a_dpu(Phase.PENDING), a_dpu(Phase.PENDING)) == []
