"""DPUServiceTemplates, from creation to deletion, with repositories that answer, fail, hang and come back."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import crash
from tests.support import dpuservicetemplates as some
from tests.support import world as worlds
from tests.support.clock import turns
from tests.support.world import World

from dpf.api import core, names
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import ObjectMeta
from dpf.kube import errors
from dpf.runtime import mirrors
from dpf.services.dpuservicetemplate.readings import LONGEST_PAUSE_S
from dpf.services.helm.memory import MemoryCharts
from dpf.services.helm.port import ChartError

DOCA = {"dpu.nvidia.com/doca-version": ">= 2.9"}
NEWER = {"dpu.nvidia.com/doca-version": "~2.10"}
DOWN = ChartError("https://example.com cannot be reached: Connection refused")


@pytest.fixture
def charts() -> MemoryCharts:
    found = MemoryCharts()
    found.set(some.a_source(), {**DOCA, "category": "Infrastructure"})
    found.set(some.a_source(version="v0.0.2"), NEWER)
    return found


def a_stage(*templates: DPUServiceTemplate) -> World:
    world = worlds.a_world()
    world.host.add(*(templates or (some.a_template(),)))
    return world


def writes_after(world: World, before: int) -> list[str]:
    return world.writes[before:]


async def test_scenario_21_of_the_annotations_only_the_doca_version_is_kept(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts):
        found = some.template(world)
        assert found.status.versions == DOCA
        assert found.metadata.finalizers == ["dpu.nvidia.com/dpuservicetemplate"]
        assert [(c.type, c.status, c.reason, c.message) for c in found.status.conditions or ()] == [
            ("Ready", "True", "Success", ""), ("DPUServiceTemplateReconciled", "True", "Success", ""),
        ]
        assert some.is_usable(world)


async def test_scenario_21_a_missing_chart_is_an_error_in_the_documented_words(charts: MemoryCharts) -> None:
    world = a_stage(some.a_template("nobody"))
    async with some.running(world, charts):
        reconciled = some.condition(world, name="nobody")
        assert (reconciled.status, reconciled.reason) == ("False", "Error")
        assert reconciled.message == "Error occurred: chart nobody not found in index"
        ready = some.condition(world, "Ready", "nobody")
        assert (ready.status, ready.reason) == ("False", "Pending")
        assert ready.message == "The following conditions are not ready: DPUServiceTemplateReconciled"
        assert some.template(world, "nobody").status.versions is None


async def test_scenario_21_a_source_edit_is_read_again(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts) as manager:
        await some.edit(world, version="v0.0.2")
        await manager.settle()
        assert some.template(world).status.versions == NEWER
        assert some.is_usable(world)
        assert len(charts.asked) == 2


async def test_anything_else_that_is_edited_is_reported_without_asking(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts) as manager:
        patch = {"spec": {"resourceRequirements": {"cpu": "2"}, "helmChart": {"values": {"a": "b"}}}}
        await world.host.patch(DPUServiceTemplate, "producer", some.NAMESPACE, patch=patch)
        assert not some.is_usable(world)
        await manager.settle()
        assert some.is_usable(world)
        assert len(charts.asked) == 1


async def test_a_chart_without_versions_is_fine(charts: MemoryCharts) -> None:
    charts.set(some.a_source(), {"category": "Infrastructure"})
    world = a_stage()
    async with some.running(world, charts):
        assert some.template(world).status.versions is None
        assert some.is_usable(world)


async def test_a_settled_template_causes_no_writes_and_no_questions(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts) as manager:
        before, asked = len(world.writes), len(charts.asked)
        await some.pass_time(world, manager, 3600, step_s=60)
        assert writes_after(world, before) == []
        assert len(charts.asked) == asked


async def test_creation_takes_two_writes(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts):
        assert len(world.writes) == 2


async def test_after_a_restart_the_repository_is_asked_once_and_nothing_is_written(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts):
        pass
    before = len(world.writes)
    async with some.running(world, charts) as manager:
        await some.pass_time(world, manager, 1200, step_s=60)
        assert writes_after(world, before) == []
        assert len(charts.asked) == 2


async def test_a_mutable_tag_is_read_again_by_the_next_process(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts) as manager:
        charts.set(some.a_source(), NEWER)
        await some.pass_time(world, manager, 1800, step_s=60)
        assert some.template(world).status.versions == DOCA
    async with some.running(world, charts):
        assert some.template(world).status.versions == NEWER


@pytest.mark.parametrize("answer", [DOWN, None], ids=["down", "hanging"])
async def test_versions_of_the_same_source_stand_while_the_repository_is_down(
    charts: MemoryCharts, answer: ChartError | None
) -> None:
    world = a_stage()
    async with some.running(world, charts):
        pass
    charts.set(some.a_source(), answer)
    before = len(world.writes)
    async with some.running(world, charts) as manager:
        await some.pass_time(world, manager, 30)
        assert some.is_usable(world)
        assert some.template(world).status.versions == DOCA
        assert writes_after(world, before) == []

        patch = {"spec": {"resourceRequirements": {"cpu": "2"}}}
        await world.host.patch(DPUServiceTemplate, "producer", some.NAMESPACE, patch=patch)
        await manager.settle()
        assert some.is_usable(world)
        assert some.template(world).status.versions == DOCA


async def test_a_new_process_need_not_wait_for_a_repository_that_hangs(charts: MemoryCharts) -> None:
    """What was edited while no process ran is reported at once, if it is not the source."""
    world = a_stage()
    async with some.running(world, charts):
        pass
    charts.set(some.a_source(), None)
    patch = {"spec": {"resourceRequirements": {"cpu": "2"}}}
    await world.host.patch(DPUServiceTemplate, "producer", some.NAMESPACE, patch=patch)
    async with some.running(world, charts):
        assert some.is_usable(world)
        assert some.template(world).status.versions == DOCA


async def test_versions_of_another_source_go_when_the_new_one_cannot_be_read(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(version="v9"), DOWN)
    async with some.running(world, charts) as manager:
        await some.edit(world, version="v9")
        await manager.settle()
        found = some.template(world)
        assert found.status.versions is None
        assert some.condition(world).message == f"Error occurred: {DOWN}"
        assert found.status.observedGeneration == found.metadata.generation
        assert not some.is_usable(world)

        await some.edit(world, version="v0.0.1")
        await manager.settle()
        assert some.is_usable(world)
        assert some.template(world).status.versions == DOCA


async def test_a_new_source_that_hangs_never_shows_the_versions_of_the_old_one(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(version="v9"), None)
    async with some.running(world, charts) as manager:
        await some.edit(world, version="v9")
        for _ in range(20):
            await some.pass_time(world, manager, 0.5)
            found = some.template(world)
            up_to_date = found.status.observedGeneration == found.metadata.generation
            assert not (up_to_date and found.status.versions)
            assert not some.is_usable(world)
        assert found.status.versions is None
        reconciled = some.condition(world)
        assert (reconciled.status, reconciled.reason) == ("Unknown", "Pending")
        assert "has not answered yet" in reconciled.message


async def test_a_reading_of_a_moment_is_not_worth_a_write(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(), None)
    async with some.running(world, charts) as manager:
        await some.pass_time(world, manager, 1.0)
        assert [write for write in world.writes if "status" in write] == []
        await some.pass_time(world, manager, 20.0)
        assert len([write for write in world.writes if "status" in write]) == 1


async def test_a_repository_that_comes_back_is_noticed(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(), DOWN)
    async with some.running(world, charts) as manager:
        await some.pass_time(world, manager, 20)
        assert not some.is_usable(world)
        charts.set(some.a_source(), DOCA)
        await some.pass_time(world, manager, 40)
        assert some.is_usable(world)
        assert some.template(world).status.versions == DOCA


async def test_a_repository_that_is_down_is_asked_less_and_less_and_told_once(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(), DOWN)
    async with some.running(world, charts) as manager:
        before = len(world.writes)
        await some.pass_time(world, manager, 3600, step_s=1.0)
        assert writes_after(world, before) == []
        assert 10 <= len(charts.asked) <= 25


async def test_touching_the_template_does_not_make_it_ask_more(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(), DOWN)
    async with some.running(world, charts) as manager:
        await some.pass_time(world, manager, 60)
        asked = len(charts.asked)
        for n in range(50):
            patch = {"metadata": {"labels": {"n": str(n)}}}
            await world.host.patch(DPUServiceTemplate, "producer", some.NAMESPACE, patch=patch)
            await manager.settle()
        assert len(charts.asked) == asked


async def test_what_a_retry_hardly_helps_is_retried_rarely(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(), ChartError("401", retryable=False))
    async with some.running(world, charts) as manager:
        await some.pass_time(world, manager, LONGEST_PAUSE_S - 10, step_s=5.0)
        assert len(charts.asked) == 1
        await some.pass_time(world, manager, 20, step_s=5.0)
        assert len(charts.asked) == 2


async def test_credentials_are_those_of_argo_cd_and_a_correction_is_noticed_at_once(charts: MemoryCharts) -> None:
    world = a_stage()
    world.host.add(some.a_repository_secret(password="wrong"), core.ConfigMap(
        metadata=ObjectMeta(name="argocd-tls-certs-cm", namespace=names.DPF_NAMESPACE), data={"example.com": "PEM"},
    ))
    charts.set(some.a_source(), ChartError("401", retryable=False))
    async with some.running(world, charts) as manager:
        access = charts.asked[-1][1]
        assert access.credentials is not None
        assert (access.credentials.username, access.credentials.password) == ("me", "wrong")
        assert access.authorities == {"example.com": "PEM"}

        charts.set(some.a_source(), DOCA)
        right = some.a_repository_secret(password="right")
        await world.host.patch(core.Secret, "charts", names.DPF_NAMESPACE, patch={"data": right.data})
        await manager.settle()
        assert some.is_usable(world)
        assert charts.asked[-1][1].credentials is not None


async def test_credentials_lie_where_the_operators_configuration_says(charts: MemoryCharts) -> None:
    world = a_stage()
    world.host.add(
        some.an_operator_config("argocd"), some.a_repository_secret("argocd", password="right"),
        some.a_repository_secret(names.DPF_NAMESPACE, password="wrong"),
    )
    async with some.running(world, charts):
        access = charts.asked[-1][1]
        assert access.credentials is not None
        assert access.credentials.password == "right"


async def test_a_secret_that_cannot_be_read_is_told_without_what_is_in_it(charts: MemoryCharts) -> None:
    world = a_stage()
    secret = some.a_repository_secret()
    world.host.add(core.Secret(metadata=secret.metadata, data={**(secret.data or {}), "password": "aHVudGVyMv8="}))
    async with some.running(world, charts):
        text = some.condition(world).message
        assert text == (
            "Error occurred: repository Secret dpf-operator-system/charts: its password is not text; correct the Secret"
        )
        assert charts.asked == []


async def test_a_mirror_is_asked_and_the_object_stays_as_it_is(charts: MemoryCharts) -> None:
    world = a_stage()
    spec = some.template(world).spec
    mirror = "https://mirror.example.org/x/charts"
    charts.set(some.a_source(repository=mirror), NEWER)
    mirrored = mirrors.parse(["https://example.com=https://mirror.example.org/x"])
    async with some.running(world, charts, mirrors=mirrored):
        assert some.template(world).status.versions == NEWER
        assert some.template(world).spec == spec
        assert {source.repository for source, _ in charts.asked} == {mirror}


@pytest.mark.parametrize(("source", "text"), [
    ({"path": ""}, "helmChart.source names no chart; set `chart`, or a `path` that ends with its name"),
    ({"repoURL": "https://me:hunter2@example.com"},
     "helmChart.source.repoURL has credentials in it; put them into a repository Secret of Argo CD"),
    ({"repoURL": "https://["}, "helmChart.source.repoURL is not a https:// or oci:// URL with a host"),
])
async def test_a_source_that_cannot_be_asked_says_what_to_change(
    charts: MemoryCharts, source: dict[str, str], text: str
) -> None:
    world = a_stage(some.a_template(**source))
    async with some.running(world, charts) as manager:
        assert some.condition(world).message == f"Error occurred: {text}"
        assert charts.asked == []
        await some.edit(world, repoURL=some.REPOSITORY, path="producer")
        await manager.settle()
        assert some.is_usable(world)


async def test_a_template_without_a_spec_is_told(charts: MemoryCharts) -> None:
    world = a_stage(DPUServiceTemplate(metadata=ObjectMeta(name="producer", namespace=some.NAMESPACE)))
    async with some.running(world, charts):
        assert "the object has no spec" in some.condition(world).message


async def test_an_absurd_constraint_is_not_taken_over(charts: MemoryCharts) -> None:
    charts.set(some.a_source(), {"dpu.nvidia.com/doca-version": ">" * 1000})
    world = a_stage()
    async with some.running(world, charts):
        assert "is longer than 256 characters" in some.condition(world).message
        assert some.template(world).status.versions is None


async def test_deletion_waits_for_nothing(charts: MemoryCharts) -> None:
    charts.set(some.a_source(), None)
    world = a_stage()
    async with some.running(world, charts) as manager:
        await world.host.delete(DPUServiceTemplate, "producer", some.NAMESPACE)
        await manager.settle()
        assert world.host.objects(DPUServiceTemplate) == ()


async def test_a_template_in_use_keeps_its_versions_while_it_is_being_deleted(charts: MemoryCharts) -> None:
    """The finalizer of a DPUDeployment keeps it; what was observed holds for the generation of the deletion, too."""
    world = a_stage(some.a_template(finalizer="dpu.nvidia.com/dpudeployment"))
    async with some.running(world, charts) as manager:
        await world.host.delete(DPUServiceTemplate, "producer", some.NAMESPACE)
        await manager.settle()
        found = some.template(world)
        assert found.metadata.finalizers == ["dpu.nvidia.com/dpudeployment"]
        assert found.status.versions == DOCA
        assert some.is_usable(world)


async def test_a_finalizer_stripped_by_hand_comes_back(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts) as manager:
        patch = {"metadata": {"finalizers": None}}
        await world.host.patch(DPUServiceTemplate, "producer", some.NAMESPACE, patch=patch)
        await manager.settle()
        assert some.template(world).metadata.finalizers == ["dpu.nvidia.com/dpuservicetemplate"]


async def test_a_status_emptied_by_hand_comes_back(charts: MemoryCharts) -> None:
    world = a_stage()
    async with some.running(world, charts) as manager:
        await world.host.patch(
            DPUServiceTemplate, "producer", some.NAMESPACE, subresource="status",
            patch={"status": {"versions": None, "conditions": None, "observedGeneration": None, "sourceDigest": None}},
        )
        await manager.settle()
        assert some.is_usable(world)
        assert some.template(world).status.versions == DOCA


async def test_a_crash_after_any_write_changes_nothing_in_the_end(charts: MemoryCharts) -> None:
    charts.set(some.a_source("bad"), DOWN)

    async def live(world: World) -> None:
        async with some.running(world, charts) as manager:
            if some.template(world).spec != some.a_template(version="v0.0.2").spec:
                await some.edit(world, version="v0.0.2")
            await manager.settle()

    tried = await crash.crash_everywhere(
        lambda: a_stage(some.a_template(), some.a_template("bad")), live, lambda world: world.state(DPUServiceTemplate)
    )
    assert tried >= 5


async def test_templates_whose_repository_hangs_do_not_delay_the_others(charts: MemoryCharts) -> None:
    """With the real number of workers, and no time passing: whoever waited for a hanging one would wait for ever."""
    hanging = [some.a_template(f"hanging-{n:02}") for n in range(40)]
    good = [some.a_template(f"zgood-{n:02}") for n in range(5)]
    for n in range(40):
        charts.set(some.a_source(f"hanging-{n:02}"), None)
    for n in range(5):
        charts.set(some.a_source(f"zgood-{n:02}"), DOCA)
    world = a_stage(*hanging, *good)
    async with some.running(world, charts) as manager:
        assert [n for n in range(5) if not some.is_usable(world, f"zgood-{n:02}")] == []
        passes = await manager.settle()
        assert passes == 0
        await some.pass_time(world, manager, 10)
        assert not any(some.is_usable(world, f"hanging-{n:02}") for n in range(40))
    await turns()


async def test_a_hanging_repository_is_looked_at_less_and_less(charts: MemoryCharts) -> None:
    charts.set(some.a_source(), None)
    world = a_stage()
    async with some.running(world, charts) as manager:
        passes = 0
        for _ in range(600):
            world.clock.advance(0.1)
            await turns()
            passes += await manager.settle()
        assert passes < 40
        assert len(charts.asked) == 1


async def test_a_repository_that_hangs_again_costs_the_api_server_nothing(charts: MemoryCharts) -> None:
    world = a_stage()
    charts.set(some.a_source(), DOWN)
    async with some.running(world, charts) as manager:
        charts.set(some.a_source(), None)
        await some.pass_time(world, manager, 5)
        before = len(world.host.requests)
        await some.pass_time(world, manager, 60)
        assert [str(request) for request in world.host.requests[before:] if request.verb in ("get", "list")] == []
        assert some.condition(world).message == f"Error occurred: {DOWN}"


async def test_nobody_goes_on_asking_for_what_is_deleted_or_changed(charts: MemoryCharts) -> None:
    def asking() -> int:
        return len([task for task in asyncio.all_tasks() if task.get_name().startswith("chart ")])

    charts.set(some.a_source(), None)
    charts.set(some.a_source(version="v9"), None)
    world = a_stage()
    async with some.running(world, charts) as manager:
        await some.edit(world, version="v9")
        await manager.settle()
        await turns()
        assert (asking(), len(charts.asked)) == (1, 2)
        await world.host.delete(DPUServiceTemplate, "producer", some.NAMESPACE)
        await manager.settle()
        await turns()
        assert asking() == 0


async def test_certificates_that_cannot_be_read_are_not_taken_for_absent(charts: MemoryCharts) -> None:
    world = a_stage()
    world.host.add(some.a_repository_secret())
    world.host.fail_next(lambda request: request.kind == "ConfigMap", errors.Unreachable("no connection"))
    async with some.running(world, charts) as manager:
        assert charts.asked == []
        await some.pass_time(world, manager, 2)
        assert some.is_usable(world)
        assert charts.asked[0][1].credentials is not None
