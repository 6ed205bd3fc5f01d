"""How much is written until a DPUDeployment stands: what an API server takes is what its speed depends on."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.scenario.services import stage
from tests.support import dpudeployments as some

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.services.dpudeployment.controller import DPUDeploymentController
from dpf.services.dpuservice.controller import DPUServiceController

CLUSTERS, SERVICES, DEPLOYMENTS = ("dpu-1", "dpu-2", "dpu-3"), ("a", "b"), ("one", "two")


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_written_that_need_not_be(seed: int) -> None:
    """Two deployments that share what they build on: a write more than here is a write too many."""
    world = stage.a_stage(*CLUSTERS)
    deployments = [some.a_deployment(name, services=SERVICES) for name in DEPLOYMENTS]
    namespace = core.Namespace(metadata=ObjectMeta(name=some.TENANT))
    world.host.add(namespace, *deployments, *some.dependencies_of(deployments[0]))
    async with world.controllers(lambda w: [
        DPUDeploymentController(clusters=w.registry), DPUServiceController(clusters=w.registry),
    ], follow=True) as manager:
        await manager.settle(stage.at_random(seed))

    services = len(DEPLOYMENTS) * len(SERVICES)
    found = Counter(" ".join(write.split(" ")[1:3]) for write in world.writes)
    assert found == {
        "patch DPUDeployment": len(DEPLOYMENTS),
        # When the services are made, and when everything is.
        "patch/status DPUDeployment": 2 * len(DEPLOYMENTS),
        "patch BFB": len(DEPLOYMENTS), "patch DPUFlavor": len(DEPLOYMENTS),
        "patch DPUServiceTemplate": services, "patch DPUServiceConfiguration": services,
        "apply DPUService": services, "apply DPUServiceInterface": services, "apply DPUSet": len(DEPLOYMENTS),
        "patch DPUService": services, "patch DPUServiceInterface": services,
        # The first service waits for the namespaces that it makes.
        "patch/status DPUService": services + 1, "apply Namespace": len(CLUSTERS),
        "apply Application": services * len(CLUSTERS), "apply AppProject": 2, "apply Secret": len(CLUSTERS),
    }
