"""Do the services fit into what the flavor leaves (behaviour-service.md 6.4; scenario 26)?"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support import dpudeployments as some

from dpf.services.dpudeployment import resources

SHORT = "there are not enough resources for DPUServices to fit in this DPUDeployment:  Additional resources needed: "
DEPLOYMENT = some.a_deployment(services=("producer", "consumer"))


def problem(
    total: dict[str, Any] | None, reserved: dict[str, Any] | None, *needs: dict[str, Any] | None
) -> str | None:
    flavor = some.a_flavor(dpuResources=total, systemReservedResources=reserved)
    services = zip(("producer", "consumer"), needs, strict=False)
    templates = [some.a_template(name, resourceRequirements=need) for name, need in services]
    return resources.problem(some.a_snapshot(DEPLOYMENT, flavor, *templates))


@pytest.mark.parametrize(("total", "reserved", "needs", "missing"), [
    ({"cpu": 6}, {"cpu": 1}, [{"cpu": 6}], "[cpu: 1]"),
    ({"cpu": 5}, None, [{"cpu": 2}, {"cpu": 4}], "[cpu: 1]"),
    ({"cpu": 5}, None, [{"cpu": 5}], None),
    ({"cpu": 5}, None, [{"cpu": "5000m"}], None),
    ({"cpu": 5}, None, [{"cpu": "5001m"}], "[cpu: 1m]"),
    (None, None, [{"cpu": 500}], None),
    ({}, None, [{"cpu": 500}], None),
    ({"cpu": 5}, None, [None, {}], None),
    ({"cpu": 5}, None, [{"nvidia.com/sf": 3}], "[nvidia.com/sf: 3]"),
    ({"memory": "8Gi", "cpu": 1}, {"memory": "1Gi"}, [{"memory": "4Gi", "cpu": 1}, {"memory": "4Gi", "cpu": "200m"}],
     "[cpu: 200m, memory: 1Gi]"),
    ({"memory": "1Gi"}, None, [{"memory": "1.5Gi"}], "[memory: 512Mi]"),
], ids=["too little", "summed", "exact", "exact in other words", "by a thousandth", "no total", "empty total",
        "no needs", "unknown name", "several, sorted", "binary"])
def test_fit(
    total: dict[str, Any] | None, reserved: dict[str, Any] | None, needs: list[dict[str, Any] | None],
    missing: str | None,
) -> None:
    assert problem(total, reserved, *needs) == (SHORT + missing if missing else None)


@pytest.mark.parametrize("reserved", [{"cpu": 6}, {"memory": "1Gi"}], ids=["too much", "of something there is not"])
def test_reserved_resources_must_fit_themselves(reserved: dict[str, Any]) -> None:
    assert problem({"cpu": 5}, reserved, {"cpu": 1}) == (
        "can't calculate available DPU resources: error while calculating allocatable resources, reserved resources"
        " don't fit in total resources"
    )


def test_a_flavor_template_counts_as_well() -> None:
    deployment = some.a_deployment(dpus={"flavor": None, "flavorTemplate": "rendered"})
    flavor = some.a_flavor_template(dpuResources={"cpu": 1})
    snapshot = some.a_snapshot(deployment, flavor, some.a_template(resourceRequirements={"cpu": 2}))
    assert resources.problem(snapshot) == SHORT + "[cpu: 1]"


def test_what_a_configuration_asks_for_does_not_count() -> None:
    configuration = some.a_configuration(serviceConfiguration={"serviceDaemonSet": {"resources": {"cpu": 50}}})
    snapshot = some.a_snapshot(
        some.a_deployment(), some.a_flavor(dpuResources={"cpu": 1}), some.a_template(), configuration
    )
    assert resources.plan_step(snapshot).findings == ()


def test_a_quantity_that_means_nothing_is_told_with_its_place() -> None:
    text = problem({"cpu": 5}, None, {"cpu": "much"})
    assert text is not None
    assert text.startswith("DPUServiceTemplate tenant/producer: spec.resourceRequirements.cpu: ")


def test_the_example_of_the_guide_fits() -> None:
    """Seed 003: 12 of 16 processors are left, 3 are asked for."""
    total: dict[str, Any] = {"cpu": 16, "memory": "16Gi", "nvidia.com/sf": 20}
    reserved: dict[str, Any] = {"cpu": 4, "memory": "4Gi", "nvidia.com/sf": 4}
    producer, consumer = ({"cpu": n, "memory": memory, "nvidia.com/sf": 1} for n, memory in ((1, "1Gi"), (2, "4Gi")))
    assert problem(total, reserved, producer, consumer) is None
