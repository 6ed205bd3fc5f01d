"""Timelines of a DPUDeployment: what is written and what is there, step by step.

The files are the specification, for reading. `UPDATE_GOLDEN=1` writes them anew; read the difference, line by line,
before you keep it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.support import dpudeployments as some
from tests.support import source
from tests.support.deploymentplatform import DOWN, Platform, a_deployed, a_platform, unsaid
from tests.support.timelines import Timeline

from dpf.api.bfb import BFB, BFBSpec
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Object
from dpf.kube.client import PatchType

HERE = Path(__file__).parent
EXAMPLE = source.ROOT / "examples" / "003-producer-consumer.yaml"
CUSTOMER = "customer-namespace"
NAME = "producer-consumer"
BFB_291 = BFB(
    metadata=some.metadata("bfb"), spec=BFBSpec(url="http://example.com/bf-bundle-2.9.1.bfb", fileName="bfb-2.9.1.bfb")
)
KINDS: tuple[type[Object], ...] = (BFB, DPUFlavor, DPUServiceTemplate, DPUServiceConfiguration, DPUDeployment)


def the_example() -> list[Object]:
    """The objects of the users' document, as `kubectl apply` sends them."""
    kinds = {kind.resource.kind: kind for kind in KINDS}
    documents = [document for document in yaml.safe_load_all(EXAMPLE.read_text()) if document]
    for document in documents:
        # Names of later revisions follow from it.
        document["metadata"]["uid"] = f"uid-of-{document['kind']}-{document['metadata']['name']}"
    return [msgspec.convert(document, kinds[document["kind"]]) for document in documents]


def the_users_story(title: str) -> tuple[Platform, Timeline]:
    """The users' example on a platform with one DPU cluster."""
    platform = a_platform(*the_example())
    return platform, Timeline(platform, title, NAME, CUSTOMER)


def the_upgrades_story(title: str, *others: Object, **spec: Any) -> tuple[Platform, Timeline]:
    """A deployment of one service, between the uplink and which there is a chain; two DPUSets.

    `others` replace what the deployment names.
    """
    ports = [
        {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}, {"service": {"name": "producer", "interface": "eth0"}},
    ]
    platform = a_deployed(
        "dd", *others, serviceChains=[{"ports": ports}],
        dpus={"dpuSets": [{"nameSuffix": "a"}, {"nameSuffix": "b"}]}, **spec,
    )
    return platform, Timeline(platform, title)


async def bring_up(platform: Platform, story: Timeline, what: str) -> None:
    """Everything is ready."""
    await platform.deliver()
    await platform.provision()
    story.tell(what)


async def test_first_rollout() -> None:
    platform, story = the_users_story("First rollout of the users' example (seed 003 as it stands)")
    async with platform.running():
        story.tell("All documents are applied.")
        await platform.deliver()
        story.tell("Argo CD has installed both services.")
        await platform.provision(f"{NAME}-dpuset1")
        story.tell("The DPUs of the first DPUSet are provisioned.")
        await platform.provision()
        story.tell("Those of the second are, too.")
        await platform.wait(3600)
        story.tell("An hour goes by.")
    assert story.text() == story.recorded(HERE / "first-rollout.txt")


async def test_non_disruptive_edits() -> None:
    platform, story = the_users_story("Non-disruptive edits of the users' example: no nodeEffect, no upgradePolicy")
    async with platform.running():
        await bring_up(platform, story, "All documents are applied, and everything becomes ready.")
        await platform.host.patch(
            DPUServiceConfiguration, "producer", CUSTOMER, type=PatchType.JSON,
            patch=[{"op": "replace", "path": "/spec/interfaces/0/name", "value": "app-iface2"}],
        )
        await platform.settle()
        story.tell("The document's own edit: the producer's interface is renamed to app-iface2.")
        await bring_up(platform, story, "Argo CD and the DPUs do their part.")
        values = {"serviceConfiguration": {"helmChart": {"values": {"worker": {"parallelization": 20}}}}}
        await platform.edit(DPUServiceConfiguration, "consumer", values, CUSTOMER)
        story.tell("The consumer's values are edited.")
        await bring_up(platform, story, "Argo CD and the DPUs do their part.")
        await platform.edit(DPUServiceConfiguration, "producer", {"nodeEffect": True}, CUSTOMER)
        story.tell("The producer becomes disruptive: of that alone nothing comes.")
    assert story.text() == story.recorded(HERE / "non-disruptive-edits.txt")


@pytest.mark.parametrize("limit", [10, 2])
@pytest.mark.parametrize("edits", [2, 3])
async def test_disruptive_upgrade(edits: int, limit: int) -> None:
    platform, story = the_upgrades_story(
        f"A disruptive upgrade with {edits} quick edits, revisionHistoryLimit {limit}", revisionHistoryLimit=limit
    )
    async with platform.running():
        await bring_up(platform, story, "The deployment is ready.")
        await platform.edit(DPUServiceConfiguration, "producer", {"nodeEffect": True})
        for edit in range(1, edits + 1):
            await platform.configure("producer", replicas=edit)
            story.tell(f"Edit {edit} of the values of the producer, which is disruptive.")
        await platform.deliver()
        story.tell("Argo CD has done its part; no DPU has been taken out of service yet.")
        await platform.provision("dd-a")
        story.tell("The DPUs of the first DPUSet have the new labels.")
        await platform.provision()
        story.tell("All DPUs have them.")
        await bring_up(platform, story, "Argo CD removes what was deleted.")
        await platform.wait(3600)
        story.tell("An hour goes by.")
    assert story.text() == story.recorded(HERE / f"upgrade-{edits}-edits-limit-{limit}.txt")


async def test_revert_in_the_middle() -> None:
    platform, story = the_upgrades_story("A disruptive edit that is reverted in the middle")
    async with platform.running():
        await platform.configure("producer", replicas=1)
        await bring_up(platform, story, "The deployment is ready.")
        await platform.edit(DPUServiceConfiguration, "producer", {"nodeEffect": True})
        await platform.configure("producer", replicas=2)
        story.tell("A disruptive edit.")
        await platform.deliver()
        await platform.provision("dd-a")
        story.tell("Half of the DPUs have taken it over.")
        await platform.configure("producer", replicas=1)
        story.tell("The edit is reverted.")
        await platform.deliver()
        story.tell("Argo CD has done its part.")
        await platform.provision()
        story.tell("All DPUs have the old labels again.")
        await bring_up(platform, story, "Argo CD removes what was deleted.")
    assert story.text() == story.recorded(HERE / "revert-in-the-middle.txt")


async def test_deletion_in_the_middle() -> None:
    platform, story = the_upgrades_story("A DPUDeployment is deleted in the middle of a disruptive upgrade")
    async with platform.running():
        await bring_up(platform, story, "The deployment is ready.")
        await platform.edit(DPUServiceConfiguration, "producer", {"nodeEffect": True})
        await platform.configure("producer", replicas=2)
        story.tell("A disruptive edit; the old revision is paused.")
        await platform.delete(DPUDeployment, "dd")
        story.tell("The DPUDeployment is deleted; Argo CD has not removed anything yet.")
        await platform.deliver()
        story.tell("Argo CD has removed the services.")
        await platform.wait(60)
        story.tell("A minute later.")
    assert story.text().count("is gone") > 0
    assert story.text() == story.recorded(HERE / "deletion-in-the-middle.txt")


async def test_chart_repository_down() -> None:
    platform, story = the_upgrades_story("A template changes while its chart repository is down", BFB_291)
    async with platform.running():
        await bring_up(platform, story, "The deployment is ready.")
        template = platform.one(DPUServiceTemplate, "producer")
        assert template.spec is not None
        newer = msgspec.structs.replace(template.spec.helmChart.source, version="2.0.0")
        platform.set_chart(newer, DOWN)
        await platform.edit(DPUServiceTemplate, "producer", {"helmChart": {"source": {"version": "2.0.0"}}})
        story.tell("The template names version 2.0.0 of its chart; the repository is down.")
        await platform.configure("producer", replicas=2)
        story.tell("The configuration is edited meanwhile: it has to wait, for both make one revision.")
        await platform.wait(3600)
        story.tell("An hour goes by.")
        platform.set_chart(newer, {"dpu.nvidia.com/doca-version": ">=9.0"})
        await platform.wait(600)
        story.tell("The repository is back: the new chart does not accept this BFB.")
        await platform.edit(DPUServiceTemplate, "producer", {"helmChart": {"source": {"version": "1.0.0"}}})
        story.tell("The template names version 1.0.0 again.")
        await bring_up(platform, story, "Argo CD does its part.")
    assert story.text() == story.recorded(HERE / "chart-repository-down.txt")


async def test_service_added_and_dropped() -> None:
    platform, story = the_upgrades_story("A second service is added, and dropped again")
    second = {"consumer": {"serviceTemplate": "consumer", "serviceConfiguration": "consumer"}}
    async with platform.running():
        await bring_up(platform, story, "The deployment is ready.")
        await platform.edit(DPUDeployment, "dd", {"services": second})
        story.tell("The deployment names a second service, for which nothing is there.")
        template = some.a_template("consumer")
        platform.set_chart(template, {})
        await platform.apply(unsaid(template), some.a_configuration("consumer", interfaces=("eth0", "app_sf")))
        story.tell("Its template and configuration are made.")
        await bring_up(platform, story, "Argo CD and the DPUs do their part.")
        await platform.edit(DPUDeployment, "dd", {"services": {"consumer": None}})
        story.tell("The second service is dropped.")
        await bring_up(platform, story, "Argo CD and the DPUs do their part.")
    assert story.text() == story.recorded(HERE / "service-added-and-dropped.txt")


async def test_chain_forms() -> None:
    platform, story = the_upgrades_story("A chain as a list becomes an object, and is edited disruptively")
    switch = {"ports": [
        {"serviceInterface": {"matchLabels": {"uplink": "p0"}}}, {"service": {"name": "producer", "interface": "eth0"}},
    ]}
    async with platform.running():
        await bring_up(platform, story, "The deployment is ready; its chain is a list.")
        chains = {"switches": [switch], "upgradePolicy": {"applyNodeEffect": True}}
        await platform.edit(DPUDeployment, "dd", {"serviceChains": chains})
        story.tell("The same chain as an object, disruptive from now on: nothing comes of it.")
        await platform.edit(DPUDeployment, "dd", {"serviceChains": {"switches": [switch | {"serviceMTU": 9000}]}})
        story.tell("Its MTU is edited.")
        await platform.provision("dd-a")
        story.tell("The DPUs of the first DPUSet have the new labels.")
        await platform.provision()
        story.tell("All DPUs have them.")
        await bring_up(platform, story, "Everybody does their part.")
        await platform.edit(DPUDeployment, "dd", {"serviceChains": [switch]})
        story.tell("A list with the old MTU again: a list is never disruptive.")
        await bring_up(platform, story, "Everybody does their part.")
        await platform.edit(DPUDeployment, "dd", {"serviceChains": None})
        story.tell("The deployment has no chain any more.")
        await bring_up(platform, story, "Everybody does their part.")
    assert story.text() == story.recorded(HERE / "chain-forms.txt")
