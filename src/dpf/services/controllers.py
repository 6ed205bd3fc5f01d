"""The controllers of this domain: the one list, and how they are made."""

from __future__ import annotations

from typing import Any, Final

from dpf.runtime.process import World
from dpf.runtime.reconciler import Reconciler
from dpf.services.dpuservice.controller import DPUServiceController
from dpf.services.dpuservice.leftovers import LeftoverController

CONTROLLERS: Final = (DPUServiceController, LeftoverController)


def build(world: World) -> list[Reconciler[Any, Any]]:
    """Every controller of `CONTROLLERS`, ready to be run."""
    return [DPUServiceController(clusters=world.clusters), LeftoverController(clusters=world.clusters)]
