"""Which requestors are a DPUDeployment's, and when somebody may leave."""

from __future__ import annotations

import msgspec
import pytest
from tests.support import dpudeploymentnodes as nodes

from dpf.api.meta import Key
from dpf.services.dpuready.release import requestors


@pytest.mark.parametrize(("text", "named"), [
    ("tenant_dd_dd-agent", (Key("tenant", "dd"), Key("tenant", "dd-agent"))),
    ("tenant_a.b_c.d", (Key("tenant", "a.b"), Key("tenant", "c.d"))),
    ("other_dd_dd-agent", None), ("dpu-1", None), ("tenant_dd", None), ("tenant_dd_", None), ("tenant__x", None),
    ("tenant_dd_x_y", None), ("", None), ("_dd_x", None),
])
def test_form(text: str, named: tuple[Key, Key] | None) -> None:
    found = [(one.deployment, one.key) for one in requestors.parsed(nodes.a_maintenance(text))]
    assert found == ([named] if named is not None else [])


def test_only_the_deployments_own_objects_are_meant() -> None:
    (requestor,) = requestors.parsed(nodes.a_maintenance("tenant_dd_dd-agent"))
    assert requestor.is_for(nodes.an_agent("dd-agent"))
    assert not requestor.is_for(nodes.an_agent("dd-agent", owner="other"))


@pytest.mark.parametrize(("names", "applied", "due"), [
    (("tenant_dd_x", "dpu-1"), True, True), (("tenant_dd_x",), False, True), (("dpu-1",), True, False),
    ((), True, False),
])
def test_due(names: tuple[str, ...], applied: bool, due: bool) -> None:
    assert requestors.is_due(nodes.a_maintenance(*names, applied=applied)) is due


def test_a_maintenance_that_is_going_is_nobodys_business() -> None:
    maintenance = nodes.a_maintenance("tenant_dd_x")
    meta = msgspec.structs.replace(maintenance.metadata, deletionTimestamp="2026-01-01T00:00:00Z")
    assert not requestors.is_due(msgspec.structs.replace(maintenance, metadata=meta))
