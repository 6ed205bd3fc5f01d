"""Progress of `up` for a person, and its figures for `make bench`: one line when a step ends, one record per step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """When a step ran: seconds since `up` began, and how long it took."""

    name: str
    began_s: float
    took_s: float


@dataclass(slots=True)
class Progress:
    """Prints each finished step. Steps may overlap: the platform starts what it can in parallel."""

    out: TextIO | None = field(default_factory=lambda: sys.stderr)
    steps: list[StepTime] = field(default_factory=list)
    _origin: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Seconds since this `up` began."""
        return time.monotonic() - self._origin

    @contextmanager
    def step(self, name: str, note: str = "") -> Iterator[None]:
        """Time the block; nothing is printed when it raises, the error tells."""
        began = self.elapsed()
        yield
        done = StepTime(name=name, began_s=round(began, 3), took_s=round(self.elapsed() - began, 3))
        self.steps.append(done)
        self.say(f"  {name:<44} {done.took_s:6.2f} s  {note}".rstrip())

    def say(self, line: str) -> None:
        """One line for the person, if anybody listens."""
        if self.out is not None:
            print(line, file=self.out, flush=True)
