"""A DPU cluster that was not asked yet is looked at again soon: no watch tells of an empty list."""

from __future__ import annotations

import pytest
from tests.support import dpudeploymentnodes as nodes
from tests.support import dpureadys as some

from dpf.services.dpuready import plan
from dpf.services.dpuready.release import plan as release
from dpf.services.dpuready.release.snapshot import Card
from dpf.services.dpuready.release.snapshot import Snapshot as ReleaseSnapshot
from dpf.services.dpuready.snapshot import Snapshot
from dpf.services.dpuready.workloads import Silent


@pytest.mark.parametrize(("settles", "wake_after_s"), [(True, 2.0), (False, None)])
def test_looks_again(settles: bool, wake_after_s: float | None) -> None:
    dpu, view = some.a_dpu(), Silent(why="no answer", settles=settles)
    assert plan.plan(Snapshot(dpu=dpu, view=view)).wake_after_s == wake_after_s
    waiting = ReleaseSnapshot(maintenance=nodes.a_maintenance(), cards=(Card(dpu=dpu, view=view),))
    assert release.plan(waiting).wake_after_s == wake_after_s
