"""docsgen: the page of conditions."""

from __future__ import annotations

from enum import StrEnum

import pytest
from tools.docsgen import conditions
from tools.docsgen.errors import Undocumented

from dpf.api import dpucluster, dpuflavor, dpuservice


class Documented(StrEnum):
    """Both members are explained."""

    ONE = "One"
    """The first,
    on two lines."""
    TWO = "Two"
    """The second."""


class HalfDocumented(StrEnum):
    """One member is not explained."""

    ONE = "One"
    TWO = "Two"
    """The second."""


def test_meanings_come_from_the_text_below_a_member() -> None:
    assert conditions.entries(Documented) == (
        conditions.Entry(value="One", meaning="The first, on two lines."),
        conditions.Entry(value="Two", meaning="The second."),
    )


def test_a_member_without_text_is_named() -> None:
    with pytest.raises(Undocumented, match=r"HalfDocumented: say below ONE "):
        conditions.entries(HalfDocumented)


@pytest.mark.parametrize("member", [
    *dpuservice.ConditionType, *dpucluster.ConditionType, *dpucluster.ConditionReason,
])
def test_page_has_every_type_and_reason(member: StrEnum) -> None:
    page = conditions.page([dpuservice.DPUService, dpucluster.DPUCluster], command="gen")

    assert f"| `{member.value}` |" in page


def test_a_kind_without_conditions_has_no_section() -> None:
    page = conditions.page([dpuservice.DPUService, dpuflavor.DPUFlavor], command="gen")

    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Shared reasons", "## DPUService"]
