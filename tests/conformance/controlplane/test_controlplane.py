"""What the local cluster manager may rely on, whichever implementation stands behind the port."""

from __future__ import annotations

from tests.conformance.controlplane.conftest import Rig, an_identity

from dpf.api.core import ConfigMap, Namespace
from dpf.api.meta import ObjectMeta
from dpf.provisioning.clustermanager.local.driver import Access, Stage

NAMESPACE = "conformance"


async def remember(rig: Rig, access: Access) -> None:
    client = rig.client(access)
    try:
        await client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
        await client.create(ConfigMap(metadata=ObjectMeta(name="here", namespace=NAMESPACE), data={"a": "b"}))
    finally:
        await client.aclose()


async def remembers(rig: Rig, access: Access) -> bool:
    client = rig.client(access)
    try:
        return NAMESPACE in {n.metadata.name for n in (await client.list(Namespace)).items}
    finally:
        await client.aclose()


async def test_there_is_nothing_at_first(rig: Rig) -> None:
    assert (await rig.planes.observe(an_identity())).stage is Stage.ABSENT
    await rig.planes.remove(an_identity())
    assert (await rig.planes.observe(an_identity())).stage is Stage.ABSENT


async def test_an_ensured_one_serves_its_version_to_its_administrator(rig: Rig) -> None:
    access = await rig.up(an_identity())
    client = rig.client(access)
    try:
        assert await client.server_version() == access.version
    finally:
        await client.aclose()


async def test_ensuring_again_changes_nothing(rig: Rig) -> None:
    access = await rig.up(an_identity())
    await remember(rig, access)
    await rig.planes.ensure(an_identity())
    assert await rig.up(an_identity()) == access
    assert await remembers(rig, access)


async def test_a_killed_one_is_noticed_and_comes_back_as_it_was(rig: Rig) -> None:
    access = await rig.up(an_identity())
    await remember(rig, access)
    rig.kill(an_identity())
    state = await rig.planes.observe(an_identity())
    assert (state.stage, state.access) == (Stage.STOPPED, None)
    assert "kube-apiserver" in state.why
    assert await rig.up(an_identity()) == access
    assert await remembers(rig, access)


async def test_a_removed_one_is_gone_and_a_new_one_starts_empty(rig: Rig) -> None:
    await remember(rig, await rig.up(an_identity()))
    await rig.planes.remove(an_identity())
    assert (await rig.planes.observe(an_identity())).stage is Stage.ABSENT
    assert not await remembers(rig, await rig.up(an_identity()))


async def test_a_namesake_gets_nothing_of_what_was_before(rig: Rig) -> None:
    await remember(rig, await rig.up(an_identity(uid="uid-1")))
    state = await rig.planes.observe(an_identity(uid="uid-2"))
    assert (state.stage, state.access) == (Stage.STOPPED, None)
    assert not await remembers(rig, await rig.up(an_identity(uid="uid-2")))


async def test_two_clusters_share_nothing(rig: Rig) -> None:
    one, other = await rig.up(an_identity("one")), await rig.up(an_identity("other"))
    await remember(rig, one)
    assert one.endpoint != other.endpoint
    assert not await remembers(rig, other)
    await rig.planes.remove(an_identity("other"))
    assert await remembers(rig, await rig.up(an_identity("one")))


async def test_what_it_tells_shows_no_credential(rig: Rig) -> None:
    access = await rig.up(an_identity())
    shown = repr(await rig.planes.observe(an_identity()))
    assert access.kubeconfig.decode() not in shown
    assert "BEGIN" not in shown
    assert "client-key-data" not in shown
