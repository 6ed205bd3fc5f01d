"""A process of the BFB controller, for tests that kill it: `python -m ... KUBECONFIG LEASE FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from dpf.provisioning.bfb.controller import BFBController
from dpf.provisioning.bfb.download import Downloads
from dpf.provisioning.bfb.files import Volume
from dpf.runtime import logs, process
from dpf.runtime.process import World


def build(world: World) -> list[BFBController]:
    downloads = Downloads(Volume(Path(folder)), world.clock, checkpoint_bytes=1 << 20)
    return [BFBController(clusters=world.clusters, downloads=downloads)]


if __name__ == "__main__":
    kubeconfig, lease, folder = sys.argv[1:]
    logs.configure(console=False)
    sys.exit(process.execute(process.run(
        build, kubeconfig=kubeconfig, metrics_address="", leader_election=lease != "-", name=lease, namespace="default",
    )))
