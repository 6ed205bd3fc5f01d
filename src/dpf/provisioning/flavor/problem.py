"""What is wrong with a flavor, or with a flavor on a certain card: a value that says what and what to do.

Pure. Made by `checks`, `preflight` and `render`; read by the DPU controller, by admission and by people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dpf.runtime.plan import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to tell. `blocks` is False where the installation may go on: advice.

    `where` names the object and the field. Without it `what` is a documented text, which stands for itself. Never a
    secret: a setting is quoted only where it cannot be one.
    """

    what: str
    where: str = ""
    remedy: str = ""
    blocks: bool = True

    @property
    def message(self) -> str:
        """The whole text, for a condition or a terminal."""
        told = f"{self.where}: {self.what}" if self.where else self.what
        return f"{told}; {self.remedy}" if self.remedy else told


def blocking(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those that an installation must not begin with."""
    return tuple(problem for problem in problems if problem.blocks)


def findings(problems: Iterable[Problem]) -> tuple[Finding, ...]:
    """What a planner puts into its step: the blocking problems, as they read."""
    return tuple(Finding(severity=Severity.INVALID, message=problem.message) for problem in blocking(problems))
