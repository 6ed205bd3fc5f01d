"""What can go wrong while the parts are put together.

    LocalError
    └── PartsMissing       one error for all parts that could not be had

    StepFailed             inside this package: one way of getting parts failed, in words; becomes part of PartsMissing
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.local import errors


class StepFailed(Exception):
    """One way of getting a part did not work; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A part that could not be had: everything that was tried, in order, and what would help."""

    part: str
    version: str | None
    tried: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        title = f"{self.part} {self.version}" if self.version else self.part
        lines = [title, *(f"  - {attempt}" for attempt in self.tried), f"  to mend it: {self.remedy}"]
        return "\n".join(lines)


class PartsMissing(errors.LocalError):
    """Parts that could not be found, downloaded, built or installed."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = "1 part is" if len(problems) == 1 else f"{len(problems)} parts are"
        super().__init__("\n".join([f"{count} missing", *map(str, problems)]))
        self.problems = problems
