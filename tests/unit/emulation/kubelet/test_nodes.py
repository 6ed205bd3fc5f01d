"""A node's identity over its life: used, renewed in time, kept while nobody gives another."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.clock import FakeClock

from dpf.emulation.join import errors as join_errors
from dpf.emulation.join import identity as identities
from dpf.emulation.join.identity import Identity
from dpf.emulation.kubelet import nodes
from dpf.emulation.kubelet.config import Config, JoinParameters, NetworkConfig, NetworkMode, NodeConfig
from dpf.emulation.kubelet.nodes import EmulatedNode
from dpf.local.pki import certificates

ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
AUTHORITY = certificates.new_authority("kubernetes", certificates.new_key(), ISSUED)
NOBODY = "https://127.0.0.1:1"


def _node(folder: Path, now: datetime, **machine: str) -> EmulatedNode:
    join = JoinParameters(server=NOBODY, tokenFile=str(folder / "token"), caPins=[AUTHORITY.spki_pin])
    config = NodeConfig(name="dpu-1", index=0, join=join, **machine)
    shared = Config(platform="t", stateDir=str(folder), nodes=[config], network=NetworkConfig(mode=NetworkMode.HOST))
    return EmulatedNode(config, nodes.new_plant(shared, FakeClock(now)))


def _store(folder: Path) -> Identity:
    request = certificates.Request(common_name="system:node:dpu-1", organizations=("system:nodes",))
    pair = certificates.issue(AUTHORITY, request, ISSUED)
    identity = Identity(
        server=NOBODY, ca=AUTHORITY.pem.decode(), certificate=pair.certificate.decode(), key=pair.key.decode()
    )
    identities.store(folder / "dpu-1", identity)
    return identity


@pytest.mark.parametrize("age", [timedelta(days=1), timedelta(days=300), timedelta(days=364)])
async def test_a_valid_identity_serves_even_when_the_server_that_would_renew_it_is_away(
    tmp_path: Path, age: timedelta
) -> None:
    stored = _store(tmp_path)
    assert await _node(tmp_path, ISSUED + age)._identity() == stored


async def test_an_expired_one_means_joining_which_needs_a_token(tmp_path: Path) -> None:
    _store(tmp_path)
    with pytest.raises(join_errors.InvalidJoinConfig, match="cannot read the bootstrap token file"):
        await _node(tmp_path, ISSUED + timedelta(days=400))._identity()


async def test_after_a_refused_renewal_it_is_tried_again_an_hour_later(tmp_path: Path) -> None:
    stored = _store(tmp_path)
    node = _node(tmp_path, ISSUED + timedelta(days=300))
    clock = node._plant.clock
    assert isinstance(clock, FakeClock)
    waiting = asyncio.create_task(node._until_renewal(stored))
    await clock.run_for(3599)
    assert not waiting.done()
    await clock.run_for(1)
    assert waiting.done()


async def test_renewal_comes_before_the_end(tmp_path: Path) -> None:
    stored = _store(tmp_path)
    node = _node(tmp_path, identities.renewal_time(stored) - timedelta(hours=30))
    clock = node._plant.clock
    assert isinstance(clock, FakeClock)
    waiting = asyncio.create_task(node._until_renewal(stored))
    await clock.run_for(29 * 3600)
    assert not waiting.done()
    await clock.run_for(3600)
    assert waiting.done()


async def test_a_restarted_machine_keeps_its_identity_and_none_of_its_pods(tmp_path: Path) -> None:
    await _node(tmp_path, ISSUED, disk="a", boot="1")._start_machine()
    stored = _store(tmp_path)
    (tmp_path / "dpu-1" / "pods" / "ns_p_1").mkdir(parents=True)
    again = _node(tmp_path, ISSUED, disk="a", boot="1")
    await again._start_machine()
    assert (tmp_path / "dpu-1" / "pods" / "ns_p_1").exists()

    restarted = _node(tmp_path, ISSUED, disk="a", boot="2")
    await restarted._start_machine()
    assert not (tmp_path / "dpu-1" / "pods").exists()
    assert identities.load(tmp_path / "dpu-1") == stored


async def test_a_machine_that_was_installed_anew_knows_nothing(tmp_path: Path) -> None:
    await _node(tmp_path, ISSUED, disk="a", boot="1")._start_machine()
    _store(tmp_path)
    await _node(tmp_path, ISSUED, disk="b", boot="1")._start_machine()
    assert identities.load(tmp_path / "dpu-1") is None
    await _node(tmp_path, ISSUED, disk="b", boot="1")._start_machine()
    assert [path.name for path in (tmp_path / "dpu-1").iterdir()] == ["machine.json"]
