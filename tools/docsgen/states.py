"""`docs/states`: the phases of kinds with a state machine, as a diagram and a table, from what the code itself runs.

Called by `__main__` and by tests. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from dpf.api.dpu import Phase as DPUPhase
from dpf.provisioning.bfb import phases as bfb
from dpf.provisioning.dpu.phases import table as dpu
from dpf.provisioning.dpucluster import phases as dpucluster
from tools.docsgen.errors import Impossible

REDFISH: Final = (
    DPUPhase.INITIALIZING, DPUPhase.PENDING, DPUPhase.NODE_EFFECT, DPUPhase.INITIALIZE_INTERFACE,
    DPUPhase.CONFIG_FW_PARAMETERS, DPUPhase.PREPARE_BFB, DPUPhase.OS_INSTALLING, DPUPhase.DPU_CONFIG,
    DPUPhase.DPU_CLUSTER_CONFIG, DPUPhase.SERVICE_READINESS, DPUPhase.NODE_EFFECT_REMOVAL, DPUPhase.READY,
)
GNOI: Final = (
    *REDFISH[:REDFISH.index(DPUPhase.DPU_CLUSTER_CONFIG)], DPUPhase.HOST_NETWORK_CONFIGURATION,
    *REDFISH[REDFISH.index(DPUPhase.DPU_CLUSTER_CONFIG):],
)
USUAL: Final[Mapping[str, Sequence[DPUPhase]]] = {"redfish": REDFISH, "gNOI": GNOI}
"""Through which phases a DPU goes that nothing is wrong with and whose host need not reboot, by install interface."""

_FOR_LABELS: Final = str.maketrans({":": ",", ";": ","})
"""What ends a label in a Mermaid diagram."""

_DPU: Final = """\
What a DPU does in each phase and where it goes from there. One pass makes one step at most, and
`status.previousPhase` has the phase before. What is waited for stands in the condition `Ready`, and in the condition
that the phase works towards.

Beside the table: a DPU that is deleted goes to Deleting from any phase, from OS Installing only when that has ended.
Error is left by deleting the DPU. A phase of an older release, or of hardware that is not supported yet
({foreign}), counts as Initializing."""

_BFB: Final = """\
One pass makes one step at most. A BFB that is deleted goes to Deleting from any phase and stays until nothing refers
to it. Of several ways out of a phase the first one counts that is open."""

_DPUCLUSTER: Final = """\
One pass makes one step at most. Of several ways out of a phase the first one counts that is open."""


class Transition(Protocol):
    """A row of a kind's table of transitions."""

    @property
    def source(self) -> str:
        """From which phase."""

    @property
    def target(self) -> str:
        """To which one."""

    @property
    def because(self) -> str:
        """When, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """From one phase to another, and when."""

    source: str
    target: str
    when: str


def pages(*, command: str) -> dict[str, str]:
    """Name to text of every page. Raises Impossible when a usual path is none."""
    return {
        "bfb.md": page("BFB", _BFB, edges_of(bfb.TRANSITIONS), source="bfb/phases.py", command=command),
        "dpu.md": dpu_page(dpu.ROWS, command=command),
        "dpucluster.md": page(
            "DPUCluster", _DPUCLUSTER, edges_of(dpucluster.TRANSITIONS), source="dpucluster/phases.py",
            command=command,
        ),
    }


def page(kind: str, introduction: str, edges: Sequence[Edge], *, source: str, command: str) -> str:
    """A page about a kind whose table has transitions only."""
    rows = [f"| {edge.source} | {edge.target} | {edge.when} |" for edge in edges]
    table = "\n".join(["| From | To | When |", "|---|---|---|", *rows])
    return _page(kind, introduction, diagram(edges, first=edges[0].source), table, source=source, command=command)


def dpu_page(rows: Mapping[DPUPhase, dpu.Row], *, command: str) -> str:
    """The page about DPUs."""
    edges = [Edge(source=phase, target=move.to, when=move.when) for phase, row in rows.items() for move in row.moves]
    foreign = ", ".join(phase for phase in DPUPhase if phase not in rows and phase is not DPUPhase.DELETING)
    body = "\n\n".join([diagram(edges, first=DPUPhase.INITIALIZING, last=DPUPhase.DELETING), *_usual(rows)])
    return _page("DPU", _DPU.format(foreign=foreign), body, _table(rows), source="dpu/phases/table.py", command=command)


def edges_of(transitions: Iterable[Transition]) -> list[Edge]:
    """A table of transitions as edges, in its order."""
    return [Edge(source=str(t.source), target=str(t.target), when=t.because) for t in transitions]


def diagram(edges: Sequence[Edge], *, first: str, last: str = "") -> str:
    """A Mermaid state diagram. `last` is a phase that objects leave by being gone."""
    phases = dict.fromkeys([first, *(name for edge in edges for name in (edge.source, edge.target))])
    names = [f'    state "{phase}" as {_id(phase)}' for phase in phases if _id(phase) != phase]
    moves = [f"    {_id(e.source)} --> {_id(e.target)}: {e.when.translate(_FOR_LABELS)}" for e in edges]
    end = [f"    {_id(last)} --> [*]: nothing is left of it"] if last else []
    return "\n".join(["```mermaid", "stateDiagram-v2", *names, f"    [*] --> {_id(first)}", *moves, *end, "```"])


def _page(kind: str, introduction: str, body: str, table: str, *, source: str, command: str) -> str:
    note = f"<!-- Written by `{command}` from src/dpf/provisioning/{source}; do not edit. -->"
    return "\n\n".join([note, f"# Phases of a {kind}", introduction, body, table]) + "\n"


def _usual(rows: Mapping[DPUPhase, dpu.Row]) -> Iterator[str]:
    yield "The usual ways, where the host need not reboot:"
    for interface, path in USUAL.items():
        for before, after in pairwise(path):
            if after not in {move.to for move in rows[before].moves}:
                raise Impossible(f"{before} does not lead to {after}, as the usual way by {interface} has it")
        yield f"- by **{interface}**: {', '.join(path)}"


def _table(rows: Mapping[DPUPhase, dpu.Row]) -> str:
    lines = ["| Phase | What it does | Leads to | Limit |", "|---|---|---|---|"]
    for phase, row in rows.items():
        moves = "<br>".join(f"{move.to}: {move.when}" for move in row.moves) or "nowhere; delete the DPU"
        lines.append(f"| {phase} | {row.does} | {moves} | {row.limit or '-'} |")
    return "\n".join(lines)


def _id(phase: str) -> str:
    return "".join(phase.split())
