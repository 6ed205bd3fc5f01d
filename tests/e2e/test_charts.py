"""Charts of a DPUDeployment whose repository, https with a CA of its own, is away for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.e2e.test_dpuservice import CLUSTER
from tests.support import rolledout, tenants
from tests.support.ownrepository import Repository
from tests.support.platform import Platform, Standin
from tests.support.tenants import NAME, Tenant

from dpf.api import core
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import Object

PRODUCER = f"{NAME}-producer"
RECONCILED = "DPUServiceTemplateReconciled"


async def test_a_repository_that_is_down(platform: Platform, standin: Standin, repository: Repository) -> None:
    """What is deployed does not need it, also not when our process starts meanwhile; what is new waits, and says so."""
    async with tenants.tenant(platform, "charts") as mine:
        *others, deployment = mine.producer_consumer()
        template = rolledout.find(others, "DPUServiceTemplate", "producer")
        template["spec"]["helmChart"]["source"] = repository.source("v0.0.1")
        platform.apply(*others, deployment)
        await mine.ready()
        with repository.down():
            await see_that_it_is_not_needed(mine)
            await see_that_a_new_version_waits(mine, repository)
        await mine.ready()
        await mine.until(DPUServiceTemplate, "producer", tenants.is_ready)
        (service,) = await mine.services("producer")
        assert service.metadata.name == PRODUCER
        assert chart_version(service) == "v0.0.2"
        await mine.until(core.DaemonSet, f"{CLUSTER}-{PRODUCER}", has_chart("producer-v0.0.2"), dpu=True)


async def see_that_it_is_not_needed(tenant: Tenant) -> None:
    """Our process is killed and comes back; nobody ever says that anything is not ready."""
    async with (
        tenants.recorded(tenant, DPUServiceTemplate) as templates,
        tenants.recorded(tenant, DPUDeployment) as deployments,
    ):
        tenant.platform.kill_controllers()
        tenant.platform.up()
        await tenant.until_looked_at()
    assert were_ready(templates)
    assert were_ready(deployments)


async def see_that_a_new_version_waits(tenant: Tenant, repository: Repository) -> None:
    """The template says what cannot be reached, the deployment which template it waits for; what runs stays."""
    before = await tenant.all(DPUService)
    source = {"helmChart": {"source": {"version": "v0.0.2"}}}
    tenant.patch("dpuservicetemplate/producer", {"spec": source})
    said = await tenant.condition(RECONCILED, lambda c: c.status == "False", name="producer", kind=DPUServiceTemplate)
    assert said.reason == "Error"
    assert said.message == f"Error occurred: https://{repository.place} cannot be reached: Connection refused"
    waiting = await tenant.condition("PrerequisitesReady", lambda c: c.status == "False")
    assert waiting.reason == "Pending"
    assert waiting.message == (
        "Error occurred: error while getting the DPUDeployment dependencies: DPUServiceTemplate"
        f" {tenant.namespace}/producer is not ready yet"
    )
    assert [service.spec for service in await tenant.all(DPUService)] == [s.spec for s in before]


def were_ready(states: Sequence[Mapping[str, Object]]) -> bool:
    """Whether every object was ready all the time."""
    return all(tenants.is_ready(obj) for state in states for obj in state.values())


def chart_version(service: DPUService) -> str:
    """The version of the chart that a DPUService asks for."""
    return service.spec.helmChart.source.version if service.spec is not None else ""


def has_chart(label: str) -> Callable[[Object], bool]:
    """Whether an object was installed from this chart."""
    return lambda obj: (obj.metadata.labels or {}).get("helm.sh/chart") == label
