"""Scenarios of behaviour-provisioning.md section 16 that only several controllers together show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.scenario.provisioning import stage as clusters
from tests.support import dpuclusters, dpusets
from tests.support import dpus as some
from tests.support.dpus import Stage
from tests.support.world import NAMESPACE

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.dpucluster.prober import Healthy, Unhealthy

GNOI = InstallInterface.GNOI
NO_EFFECT = {"noEffect": True}
OTHER = "bf-bundle-2"
NETWORK_POD = "worker-1-d1-hostnetwork"


def a_stage_with_a_set(folder: Path, *, hosts: int = 1, cluster: Mapping[str, Any] | None = None) -> Stage:
    """A DPUSet over all cards, of the strategy OnDelete, and two BFBs."""
    dpuset = dpusets.a_dpuset(template={
        "bfb": {"name": some.BFB_NAME}, "dpuFlavor": some.FLAVOR, "nodeEffect": NO_EFFECT,
        **({"cluster": dict(cluster)} if cluster is not None else {}),
    })
    return some.a_stage(folder, dpuset, some.a_bfb(OTHER), hosts=hosts, dpus=False)


def all_ready(count: int) -> Callable[[Stage], bool]:
    """For `work`: there are so many DPUs, and nothing is on its way."""
    return lambda stage: list(stage.phases.values()) == ["Ready"] * count and stage.is_over()


async def edit_template(stage: Stage, **spec: Any) -> None:
    """Somebody edits the template of the DPUSet."""
    await stage.patch(DPUSet, dpusets.SET, dpuTemplate={"spec": spec})


async def test_16_12_on_delete_installs_what_was_deleted_and_nothing_else(tmp_path: Path) -> None:
    stage = a_stage_with_a_set(tmp_path, hosts=2)
    async with stage.controllers() as manager:
        await stage.work(manager, until=all_ready(2))
        await edit_template(stage, bfb={"name": OTHER})
        await stage.pass_time(manager, 3600, step_s=60)
        marks = [dpu.status.outdated for dpu in stage.dpus.values()]
        assert [mark.reason for mark in marks if mark is not None] == ["OutdatedBFB"] * 2
        assert stage.installs == {"d1": 1, "d2": 1}
        times = [mark.timeStamp for mark in marks if mark is not None]

        await stage.delete("worker-1-d1")
        await stage.work(manager, until=all_ready(2))
        assert stage.installs == {"d1": 2, "d2": 1}
        assert f"{OTHER}.bfb" in stage.cards["d1"].installs[1]
        assert stage.dpu().status.outdated is None
        left = stage.dpu("worker-2-d2").status.outdated
        assert left is not None
        assert left.timeStamp == times[1]


async def test_16_14_a_label_that_left_the_template_leaves_the_node(tmp_path: Path) -> None:
    stage = a_stage_with_a_set(tmp_path, cluster={"nodeLabels": {"a": "1", "b": "2"}})
    async with stage.controllers() as manager:
        await stage.work(manager, until=all_ready(1))
        dpu_cluster = stage.world.dpus[Key(NAMESPACE, some.CLUSTER)]
        await dpu_cluster.patch(core.Node, "worker-1-d1", patch={"metadata": {"labels": {"foreign": "kept"}}})
        await edit_template(stage, cluster={"nodeLabels": {"a": None, "b": "3"}})
        await stage.work(manager, until=all_ready(1))
        labels = stage.nodes()["worker-1-d1"].metadata.labels or {}
        assert "a" not in labels
        assert (labels["b"], labels["foreign"]) == ("3", "kept")
        assert labels["provisioning.dpu.nvidia.com/dpu-node"] == "true"
    assert stage.installs == {"d1": 1}


async def test_16_48_a_configuration_that_is_too_large_is_not_installed(tmp_path: Path) -> None:
    flavor = {"configFiles": [{"path": "/etc/large", "raw": "x" * 129 * 1024}]}
    stage = some.a_stage(tmp_path, effect=NO_EFFECT, flavor=flavor)
    async with stage.controllers() as manager:
        await stage.work(manager)
        status, reason, message = stage.told("Error")
        assert (status, reason) == ("True", "FailedToGenerateBFConfig")
        size = re.fullmatch(
            r"bf\.cfg for worker-1-d1 size \(([0-9]+)\) exceeds the maximum limit \(131072\)(\..*)?", message,
        )
        assert size is not None, message
        assert int(size[1]) > 131072
        assert stage.told("BFBPrepared")[:2] == ("False", "FailedToGenerateBFConfig")
        assert stage.files == []
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
    assert stage.installs == {"d1": 0}


async def test_16_53_a_static_cluster_whose_server_goes_away_and_comes_back() -> None:
    stage = clusters.a_stage(dpuclusters.a_dpucluster("static", kubeconfig="admin"))
    stage.world.host.add(dpuclusters.a_secret())
    stage.prober.set(dpuclusters.SERVER, Healthy(version="v1.33.0"))
    async with stage.controllers() as manager:
        await manager.settle()
        ready = stage.condition("Ready")
        assert (stage.phase, ready.status, ready.reason) == ("Ready", "True", "HealthCheckPassed")
        stage.prober.set(dpuclusters.SERVER, Unhealthy(why="connection refused"))
        await stage.pass_time(manager, 60)
        ready = stage.condition("Ready")
        assert (stage.phase, ready.status, ready.reason) == ("NotReady", "False", "HealthCheckFailed")
        assert ready.message.startswith(f"The API server at {dpuclusters.SERVER} cannot be used: connection refused.")
        assert (stage.condition("Created").status, stage.condition("Created").reason) == ("True", "Created")
        before = list(stage.world.writes)
        await stage.pass_time(manager, 600)
        assert stage.world.writes == before
        stage.prober.set(dpuclusters.SERVER, Healthy(version="v1.33.0"))
        await stage.pass_time(manager, 60)
        assert (stage.phase, stage.condition("Ready").reason) == ("Ready", "HealthCheckPassed")


def network_arguments(stage: Stage) -> list[str]:
    """What the pod of the host's network was told."""
    (pod,) = [pod for pod in stage.host.objects(core.Pod) if pod.metadata.name == NETWORK_POD]
    (container,) = pod.spec.containers
    return list(container.args or ())


async def test_16_55_the_hosts_network_follows_the_mtu_and_goes_with_the_dpu(tmp_path: Path) -> None:
    flavor = {"nvconfig": [{"device": "*", "parameters": ["NUM_OF_VFS=8"]}]}
    stage = some.a_stage(tmp_path, interface=GNOI, effect=NO_EFFECT, flavor=flavor)
    async with stage.controllers() as manager:
        await stage.work(manager)
        told = network_arguments(stage)
        assert (told[told.index("--vfs") + 1], told[told.index("--mtu") + 1]) == ("8", "1500")
        before = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.world.writes == before

        await stage.patch(DPFOperatorConfig, "dpfoperatorconfig", networking={"highSpeedMTU": 9000})
        for _ in range(3):
            await stage.pass_time(manager, 30)
            await stage.run_pods()
        told = network_arguments(stage)
        assert told[told.index("--mtu") + 1] == "9000"
        await stage.work(manager)
        assert stage.told() == ("True", "DPUReady", "")
        before = list(stage.world.writes)
        await stage.pass_time(manager, 600, step_s=30)
        assert stage.world.writes == before
        assert stage.installs == {"d1": 1}

        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.host.objects(DPU))
    assert NETWORK_POD not in {pod.metadata.name for pod in stage.host.objects(core.Pod)}
