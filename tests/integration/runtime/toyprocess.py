"""A controller process of the toy kind, for tests that kill it: `python -m ... KUBECONFIG LEASE METRICS_ADDRESS`."""

from __future__ import annotations

import sys

from tests.scenario.runtime.toy import ToyController

from dpf.runtime import logs, process
from dpf.runtime.process import World


def build(world: World) -> list[ToyController]:
    return [ToyController(world.clusters)]


if __name__ == "__main__":
    kubeconfig, lease, address = sys.argv[1:]
    logs.configure(console=False)
    sys.exit(process.execute(process.run(
        build, kubeconfig=kubeconfig, metrics_address=address, leader_election=lease != "-", name=lease,
        namespace="default",
    )))
