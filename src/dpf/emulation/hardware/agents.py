"""The agent that a card's configuration asks for, as `systems` starts it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from dpf.emulation.agent import agent
from dpf.emulation.dpu.config import DPUConfig
from dpf.emulation.hardware.systems import RunningSystem


def start(config: DPUConfig, system: RunningSystem) -> Coroutine[Any, Any, None] | None:
    """One start of the agent; None when the configuration has none."""
    return None if config.agent is None else agent.run(config.agent, system)
