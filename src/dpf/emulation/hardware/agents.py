"""The agent that a card's configuration asks for, as `systems` starts it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from dpf.emulation.dpu.config import DPUConfig
from dpf.emulation.hardware.systems import RunningSystem


def start(config: DPUConfig, system: RunningSystem) -> Coroutine[Any, Any, None] | None:  # noqa: ARG001
    """None: configurations have no agent."""
    return None
