"""Constraints of charts against the version on the DPUs (behaviour-service.md 6.3, seed 003; scenario 27)."""

from __future__ import annotations

import pytest
from tests.support import dpudeployments as some

from dpf.api.meta import Object
from dpf.services.dpudeployment import versions

KEY = "dpu.nvidia.com/doca-version"
DEPLOYMENT = some.a_deployment(services=("producer", "consumer"))


def texts(*objects: Object) -> list[str]:
    return [finding.message for finding in versions.plan_step(some.a_snapshot(DEPLOYMENT, *objects)).findings]


@pytest.mark.parametrize("constraint", [None, ">= 2.9", ">=2.9, <3", "~2.9.0", "2.9", "2.x || >= 4"])
def test_it_is_satisfied(constraint: str | None) -> None:
    assert texts(some.a_bfb(doca="2.9.1"), some.a_template(doca=constraint)) == []


@pytest.mark.parametrize(("constraint", "version"), [(">=3.0", "2.9.1"), ("~2.9", "2.10.0"), (">= 2.9", "3.0.0-rc1")])
def test_it_is_not_satisfied(constraint: str, version: str) -> None:
    """The text of the users' guide, to the letter."""
    (text,) = texts(some.a_bfb(doca=version), some.a_template(doca=constraint))
    assert text == (
        "version constraint for 'dpu.nvidia.com/doca-version' found in DPUServiceTemplate 'producer' is not satisfied"
        f" by the version '{version}' found in the given BFB"
    )


def test_software_is_named_as_such() -> None:
    deployment = some.a_deployment(dpus={"bfb": None, "blueFieldSoftware": "software"})
    step = versions.plan_step(some.a_snapshot(deployment, some.a_software(doca="3.0.0"), some.a_template(doca="<3")))
    assert step.findings[0].message.endswith("by the version '3.0.0' found in the given BlueFieldSoftware")


def test_nothing_to_compare_with() -> None:
    (text,) = texts(some.a_bfb(doca=None), some.a_template(doca=">=2"))
    assert text == (
        f"version constraint for '{KEY}' found in DPUServiceTemplate 'producer' cannot be checked: the given BFB has no"
        f" version for '{KEY}'"
    )
    assert texts(some.a_bfb(doca=None), some.a_template()) == []


def test_every_template_is_checked_and_each_problem_told_once() -> None:
    bad_constraint = texts(some.a_bfb(), some.a_template(doca="about 2"), some.a_template("consumer", doca=">3"))
    assert len(bad_constraint) == 2
    assert "'consumer' is not satisfied by the version '2.9.1'" in bad_constraint[0]
    assert bad_constraint[1].startswith(
        "version constraint 'about 2' found in DPUServiceTemplate 'producer' is not parsable: "
    )
    bad_version = texts(some.a_bfb(doca="later"), some.a_template(doca=">1"), some.a_template("consumer", doca=">1"))
    assert len(bad_version) == 1
    assert bad_version[0].startswith("version 'later' found in the given BFB is not parsable: ")
