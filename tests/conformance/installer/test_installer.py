"""What the phases of a DPU may rely on, whichever implementation of the Installer port they are given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Protocol

import pytest
from tests.support import bmcs, dmss

from dpf.emulation.bmc.faults import Faults
from dpf.emulation.dms import faults as dms_faults
from dpf.emulation.dms.settings import NO_LATENCY, Timings
from dpf.provisioning.install.memory import MemoryCard, MemoryInstaller, unreachable
from dpf.provisioning.install.port import (
    Card,
    Cause,
    Install,
    Installer,
    InstallError,
    Sight,
    Silence,
    Task,
    TaskState,
    Topic,
)


class Rig(Protocol):
    """An implementation, and a card that does as it is told."""

    installer: Installer
    card: Card

    async def begin(self) -> str:
        """Order an installation that stays in the middle; returns what `look` takes as its task."""

    async def finish(self) -> None:
        """It goes on."""

    def begun(self) -> int:
        """How many installations the card has begun, ever."""

    async def vanish(self) -> None:
        """The card does not answer any more."""

    async def lose_the_answer(self) -> None:
        """The card will carry out the next order, and its answer will not arrive."""


class InMemory:
    def __init__(self) -> None:
        self.card = Card(name="d", host="192.0.2.1", port=443, serial="MT0001")
        self.fake = MemoryCard()
        self.installer: Installer = MemoryInstaller({self.card.address: self.fake})

    async def begin(self) -> str:
        return await self.installer.order(self.card, Install(image="h/a.bfb")) or ""

    async def finish(self) -> None:
        self.fake.finish()

    def begun(self) -> int:
        return len(self.fake.installs)

    async def vanish(self) -> None:
        self.fake.silence = unreachable(self.card)

    async def lose_the_answer(self) -> None:
        self.fake.loses_answer = True


class OverRedfish:
    def __init__(self, rig: bmcs.Rig) -> None:
        self.rig = rig
        self.installer: Installer = rig.installer
        self.card = rig.at()

    async def begin(self) -> str:
        self.rig.images.gate.clear()
        return await self.installer.order(self.card, Install(image=self.rig.images.bundle())) or ""

    async def finish(self) -> None:
        self.rig.images.gate.set()

    def begun(self) -> int:
        return len(self.rig.card().record.installs)

    async def vanish(self) -> None:
        self.rig.card().lose_power()

    async def lose_the_answer(self) -> None:
        self.rig.card().set_faults(Faults(answer_lost=1))


class OverGNOI:
    """A card whose installations take longer than any test, unless they are told to go on."""

    def __init__(self, rig: dmss.Rig) -> None:
        self.rig = rig
        self.installer: Installer = rig.installer
        self.card = rig.at()

    async def begin(self) -> str:
        await self.rig.install(self.card)
        return dmss.VERSION

    async def finish(self) -> None:
        await self.rig.restart(timings=NO_LATENCY)

    def begun(self) -> int:
        return len(self.rig.card().record.activations)

    async def vanish(self) -> None:
        await self.rig.dms.close()

    async def lose_the_answer(self) -> None:
        self.rig.card().set_faults(dms_faults.Faults(answer_lost=1))


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Rig]:
    yield InMemory()


@asynccontextmanager
async def over_redfish(folder: Path) -> AsyncIterator[Rig]:
    async with bmcs.a_rig(folder) as rig:
        yield OverRedfish(rig)


@asynccontextmanager
async def over_gnoi(folder: Path) -> AsyncIterator[Rig]:
    async with dmss.a_rig(folder, timings=Timings(flash_s=60.0)) as rig:
        yield OverGNOI(rig)


@pytest.fixture(params=[in_memory, over_redfish, over_gnoi], ids=["memory", "redfish", "gnoi"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    make: Callable[[Path], AbstractAsyncContextManager[Rig]] = request.param
    async with make(tmp_path) as made:
        yield made


async def see(rig: Rig, topics: Topic, task: str | None = None) -> Sight:
    sight = await rig.installer.look(rig.card, topics=topics, task=task)
    assert isinstance(sight, Sight), sight
    return sight


async def state_of(rig: Rig, task: str) -> Task:
    found = (await see(rig, Topic.TASK, task)).task
    assert found is not None
    return found


async def ended(rig: Rig, task: str) -> Task:
    while (found := await state_of(rig, task)).state is TaskState.RUNNING:
        continue
    return found


async def test_a_look_tells_what_it_was_asked_for_and_nothing_else(rig: Rig) -> None:
    sight = await see(rig, Topic.TASKS)

    told = {one.name for one in fields(Sight) if getattr(sight, one.name) != one.default}
    assert told == {"tasks"}


async def test_a_card_that_does_not_answer_is_unreachable_in_the_same_words(rig: Rig) -> None:
    await rig.vanish()
    first, second = [await rig.installer.look(rig.card) for _ in range(2)]

    assert isinstance(first, Silence)
    assert first.cause is Cause.UNREACHABLE
    assert rig.card.address in first.why
    assert first == second


async def test_an_order_that_cannot_be_given_may_be_given_again(rig: Rig) -> None:
    await rig.vanish()
    with pytest.raises(InstallError) as caught:
        await rig.begin()

    assert (caught.value.retryable, caught.value.doubtful, caught.value.busy) == (True, False, False)
    assert caught.value.silence is not None
    assert rig.begun() == 0


async def test_an_installation_is_seen_from_beginning_to_end(rig: Rig) -> None:
    task = await rig.begin()
    assert (await state_of(rig, task)).state is TaskState.RUNNING
    await rig.finish()

    assert (await ended(rig, task)).state is TaskState.COMPLETED
    assert (await ended(rig, task)).state is TaskState.COMPLETED
    assert rig.begun() == 1


async def test_a_second_installation_is_not_begun_while_one_runs(rig: Rig) -> None:
    await rig.begin()
    with pytest.raises(InstallError) as caught:
        await rig.begin()

    assert caught.value.busy
    assert rig.begun() == 1


async def test_an_installation_whose_answer_got_lost_is_found_and_not_begun_again(rig: Rig) -> None:
    await rig.lose_the_answer()
    with pytest.raises(InstallError) as caught:
        await rig.begin()
    assert caught.value.doubtful

    (found,) = (await see(rig, Topic.TASKS)).tasks or ()
    assert found.image is not None
    assert "a.bfb" in found.image
    await rig.finish()
    assert (await ended(rig, found.id)).state is TaskState.COMPLETED
    assert rig.begun() == 1


@pytest.mark.parametrize("name", ["99", "", "..", "a/b", "x" * 1000])
async def test_a_task_that_the_card_does_not_know_is_lost(rig: Rig, name: str) -> None:
    assert await state_of(rig, name) == Task(id=name, state=TaskState.LOST)
