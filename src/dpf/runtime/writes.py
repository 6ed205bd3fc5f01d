"""The gate that every write of a controller passes: leadership before it, metrics and the crash hook after it.

`executor` and `pipeline` write through this and through nothing else. It does not know what is being written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from dpf.runtime import faults
from dpf.runtime.metrics import Metrics

R = TypeVar("R")


class LeadershipLost(Exception):
    """This process may no longer write: another one may have become the leader."""


def always() -> bool:
    """Leadership of a process that runs without election."""
    return True


class Writes:
    """The writes of one controller.

    `may_write` is asked before each one; `after_write` is called after each one that the API server accepted.
    """

    def __init__(
        self, controller: str, *, metrics: Metrics, may_write: Callable[[], bool] = always,
        after_write: faults.AfterWrite = faults.nothing,
    ) -> None:
        self._controller = controller
        self._metrics = metrics
        self._may_write = may_write
        self._after_write = after_write

    async def write(self, verb: str, kind: str, call: Callable[[], Awaitable[R]]) -> R:
        """The result of `call`. Raises LeadershipLost without calling it, and whatever it raises."""
        if not self._may_write():
            raise LeadershipLost(f"{self._controller} is not the leader any more; it does not {verb} {kind}")
        result = await call()
        self._metrics.wrote(self._controller, verb, kind)
        self._after_write()
        return result
