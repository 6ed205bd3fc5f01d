"""docsgen: the pages of phases say what the tables say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from tools.docsgen import states
from tools.docsgen.errors import Impossible

from dpf.api.dpu import Phase
from dpf.provisioning.bfb import phases as bfb
from dpf.provisioning.dpu.phases import table
from dpf.provisioning.dpucluster import phases as dpucluster

PAGES = states.pages(command="gen")
MOVES = [(phase, move) for phase, row in table.ROWS.items() for move in row.moves]


def arrows(page: str) -> set[tuple[str, str]]:
    """Which phase the diagram leads to which, by the names that people know."""
    lines = page.partition("```mermaid\n")[2].partition("```")[0].splitlines()
    named = dict(_names(lines))
    pairs = (line.partition(":")[0].split(" --> ") for line in lines if "-->" in line)
    return {(named.get(a.strip(), a.strip()), named.get(b.strip(), b.strip())) for a, b in pairs}


def _names(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.strip().startswith("state "):
            _, name, as_ = line.split('"')
            yield as_.removeprefix(" as "), name


def test_the_diagram_of_a_dpu_has_every_move_and_no_other() -> None:
    ends = {("[*]", "Initializing"), ("Deleting", "[*]")}
    assert arrows(PAGES["dpu.md"]) - ends == {(str(phase), str(move.to)) for phase, move in MOVES}


@pytest.mark.parametrize("phase", table.ROWS)
def test_the_table_of_a_dpu_has_every_phase_with_what_it_does_and_where_it_leads(phase: Phase) -> None:
    row = table.ROWS[phase]
    (line,) = [line for line in PAGES["dpu.md"].splitlines() if line.startswith(f"| {phase} |")]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        phase, row.does, "<br>".join(f"{move.to}: {move.when}" for move in row.moves) or "nowhere; delete the DPU",
        row.limit or "-",
    ]


@pytest.mark.parametrize(("name", "transitions"), [
    ("bfb.md", bfb.TRANSITIONS), ("dpucluster.md", dpucluster.TRANSITIONS),
])
def test_the_other_diagrams_have_every_transition(name: str, transitions: tuple[bfb.Transition, ...]) -> None:
    expected = {(str(t.source), str(t.target)) for t in transitions}
    assert arrows(PAGES[name]) == expected | {("[*]", str(transitions[0].source))}


def test_the_usual_ways_differ_in_the_hosts_network() -> None:
    (redfish,) = [line for line in PAGES["dpu.md"].splitlines() if line.startswith("- by **redfish**")]
    (gnoi,) = [line for line in PAGES["dpu.md"].splitlines() if line.startswith("- by **gNOI**")]
    assert "Prepare BFB, OS Installing, DPU Config, DPU Cluster Config, Service Readiness" in redfish
    assert "Prepare BFB, OS Installing, DPU Config, Host Network Configuration, DPU Cluster Config" in gnoi


def test_phases_that_nobody_leads_into_are_named() -> None:
    assert "Update Firmware, Checking Host Reboot Required, DMS Deployment" in PAGES["dpu.md"]


def test_a_usual_way_that_the_table_does_not_have_is_refused() -> None:
    rows: Mapping[Phase, table.Row] = {
        **table.ROWS,
        Phase.PENDING: table.Row(handler=table.ROWS[Phase.PENDING].handler, does="waits", moves=()),
    }
    with pytest.raises(Impossible, match="Pending does not lead to Node Effect, as the usual way by redfish has it"):
        states.dpu_page(rows, command="gen")


def test_a_label_does_not_end_early() -> None:
    drawn = states.diagram([states.Edge(source="A", target="B C", when="one: two; three")], first="A")
    assert "    A --> BC: one, two, three" in drawn.splitlines()
