"""Control planes of DPU clusters: what is refused and explained before, and instead of, a real engine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from dpf.api.meta import Key
from dpf.local import controlplane, dpucontrolplane, etcdkeys
from dpf.local.dpucontrolplane import ProcessControlPlane, Programs, cluster_id
from dpf.local.supervisor import Supervisor, ports
from dpf.provisioning.clustermanager.local.driver import Identity, Stage
from dpf.runtime.reconciler import DriverError

IDENTITY = Identity(key=Key("ns", "tenant1"), uid="uid-1")
API_SERVER = "ns.tenant1-kube-apiserver"


class StoppedClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Machine:
    """A folder with stand-ins for the engines: a gateway that etcd would serve, and programs made of shell."""

    state: Path
    clock: StoppedClock = field(default_factory=StoppedClock)
    deleted: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.state / "clusters" / "ns.tenant1"

    @property
    def store(self) -> controlplane.Store:
        return controlplane.Store(folder=self.state / "etcd")

    def planes(
        self, *, apiserver: str = "exec sleep 60", reserved_ports: Collection[int] = (),
    ) -> ProcessControlPlane:
        return ProcessControlPlane(
            state=self.state, store=self.store, clock=self.clock, reserved_ports=reserved_ports, programs=Programs(
                apiserver=self.program("apiserver", apiserver), controller_manager=self.program("kcm", "exec sleep 60"),
                scheduler=self.program("scheduler", "exec sleep 60"), version="v1.36.3",
            ),
        )

    def program(self, name: str, script: str) -> Path:
        path = self.state / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    def record(self) -> dict[str, object]:
        loaded = json.loads((self.folder / "record.json").read_bytes())
        assert isinstance(loaded, dict)
        return loaded


@pytest.fixture
async def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    monkeypatch.setattr(dpucontrolplane, "START_PATIENCE_S", 0.2)
    monkeypatch.setattr(dpucontrolplane, "OBSERVE_PATIENCE_S", 0.1)
    monkeypatch.setattr(dpucontrolplane, "LATE_PATIENCE_S", 0.1)
    monkeypatch.setattr(dpucontrolplane, "PORT_PATIENCE_S", 0.1)
    made = Machine(state=tmp_path)
    made.store.folder.mkdir()
    (tmp_path / "logs").mkdir()

    async def delete_range(request: web.Request) -> web.Response:
        body = await request.json()
        made.deleted.append(body["key"])
        return web.json_response({"deleted": "3"})

    app = web.Application()
    app.router.add_post("/v3/kv/deleterange", delete_range)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(made.store.socket)).start()
    try:
        yield made
    finally:
        await runner.cleanup()
        Supervisor(tmp_path).stop_all()


@pytest.mark.parametrize(("one", "other"), [
    (Key("a-b", "c"), Key("a", "b-c")),
    (Key("n" * 63, "a" * 63), Key("n" * 63, "a" * 62 + "b")),
])
def test_no_two_clusters_share_a_name_on_this_machine(one: Key, other: Key) -> None:
    assert cluster_id(one) != cluster_id(other)
    assert max(len(cluster_id(one)), len(cluster_id(other))) <= 80


async def test_a_new_one_gets_an_empty_store_a_private_folder_and_a_port(machine: Machine) -> None:
    await machine.planes().ensure(IDENTITY)
    assert len(machine.deleted) == 1
    assert oct(machine.folder.stat().st_mode & 0o777) == "0o700"
    assert Supervisor(machine.state).observe(API_SERVER) is not None
    assert machine.record()["uid"] == "uid-1"


async def test_one_that_does_not_serve_yet_is_starting(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    state = await planes.observe(IDENTITY)
    assert state.stage is Stage.STARTING
    assert f"{machine.state}/logs/{API_SERVER}.log" in state.why


async def test_one_that_still_does_not_serve_is_late(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    assert not (await planes.observe(IDENTITY)).late
    machine.clock.time += timedelta(seconds=31)
    assert (await planes.observe(IDENTITY)).late


async def test_ensuring_again_keeps_port_data_and_process(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    before, port = Supervisor(machine.state).observe(API_SERVER), machine.record()["port"]
    await planes.ensure(IDENTITY)
    assert (Supervisor(machine.state).observe(API_SERVER), machine.record()["port"]) == (before, port)
    assert len(machine.deleted) == 1


async def test_a_namesake_takes_over_nothing_but_the_name(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    before, authority = Supervisor(machine.state).observe(API_SERVER), (machine.folder / "ca.key").read_bytes()
    namesake = Identity(key=IDENTITY.key, uid="uid-2")
    assert (await planes.observe(namesake)).stage is Stage.STOPPED
    await planes.ensure(namesake)
    assert machine.record()["uid"] == "uid-2"
    assert len(machine.deleted) == 2
    assert (machine.folder / "ca.key").read_bytes() != authority
    assert Supervisor(machine.state).observe(API_SERVER) != before


async def test_a_port_that_is_reserved_or_recorded_is_not_given_away(machine: Machine) -> None:
    # Side by side, so that a search from almost anywhere meets the recorded one first.
    recorded = next(p for p in range(ports.FIRST_PORT, ports.LAST_PORT) if ports.is_free(p) and ports.is_free(p + 1))
    left = recorded + 1
    other = machine.state / "clusters" / "ns.other"
    other.mkdir(parents=True)
    (other / "record.json").write_text(json.dumps({"uid": "uid-2", "port": recorded}))
    everything = set(range(ports.FIRST_PORT, ports.LAST_PORT + 1))
    await machine.planes(reserved_ports=everything - {left, recorded}).ensure(IDENTITY)
    assert machine.record()["port"] == left


async def test_two_get_different_ports_also_at_the_same_time(machine: Machine) -> None:
    planes = machine.planes()
    await asyncio.gather(*(planes.ensure(Identity(key=Key("ns", f"t{n}"), uid=f"u{n}")) for n in range(3)))
    records = [json.loads(path.read_bytes()) for path in (machine.state / "clusters").glob("*/record.json")]
    assert len({record["port"] for record in records}) == 3


async def test_what_ends_at_once_says_why_and_gets_a_pause(machine: Machine) -> None:
    header = "E1121 13:00:00.000001   42 run.go:72] "
    planes = machine.planes(apiserver=f"echo '{header}\"command failed\" err=\"bad flag\"'; exit 1")
    await planes.ensure(IDENTITY)
    state = await planes.observe(IDENTITY)
    assert state.stage is Stage.STOPPED
    assert 'kube-apiserver ended right after its start: "command failed" err="bad flag"' in state.why
    assert state.not_before == machine.clock.time + timedelta(seconds=5)
    assert (await planes.observe(IDENTITY)).why == state.why


async def test_what_ends_later_is_started_again_at_once(machine: Machine) -> None:
    planes = machine.planes(apiserver="exit 1")
    await planes.ensure(IDENTITY)
    machine.clock.time += timedelta(seconds=6)
    state = await planes.observe(IDENTITY)
    assert (state.stage, state.not_before) == (Stage.STOPPED, None)
    assert "kube-apiserver does not run" in state.why


async def test_a_port_that_somebody_took_is_named_with_its_owner(machine: Machine) -> None:
    planes = machine.planes(apiserver="exit 1")
    await planes.ensure(IDENTITY)
    port = machine.record()["port"]
    assert isinstance(port, int)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(DriverError, match=f"port {port} is in use by pid {os.getpid()} .*stop that program"):
            await planes.ensure(IDENTITY)


async def test_a_port_that_is_about_to_become_free_is_waited_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dpucontrolplane, "PORT_PATIENCE_S", 30.0)
    planes = machine.planes(apiserver="exit 1")
    await planes.ensure(IDENTITY)
    with socket.socket() as dying:
        dying.bind(("127.0.0.1", int(str(machine.record()["port"]))))
        dying.listen()
        ensuring = asyncio.create_task(planes.ensure(IDENTITY))
        await asyncio.wait({ensuring}, timeout=0.1)
        assert not ensuring.done()
    await ensuring


async def test_a_missing_program_is_named(machine: Machine) -> None:
    planes = machine.planes()
    (machine.state / "apiserver").unlink()
    with pytest.raises(DriverError, match=f"{machine.state}/apiserver is not there or not executable"):
        await planes.ensure(IDENTITY)


async def test_without_etcd_nothing_is_started(machine: Machine) -> None:
    machine.store.socket.unlink()
    with pytest.raises(DriverError, match=r"etcd at .* does not answer .* Start it with `dpfctl local up`"):
        await machine.planes().ensure(IDENTITY)
    assert Supervisor(machine.state).status() == ()
    assert not machine.folder.exists()


async def test_a_damaged_record_costs_no_data(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    (machine.folder / "record.json").write_text("{")
    state = await planes.observe(IDENTITY)
    assert state.stage is Stage.STOPPED
    with pytest.raises(DriverError, match=r"record\.json is damaged .* delete its DPUCluster to start over"):
        await planes.ensure(IDENTITY)
    assert len(machine.deleted) == 1
    assert (machine.folder / "ca.key").exists()


async def test_a_lost_authority_key_is_not_replaced(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    (machine.folder / "ca.key").unlink()
    with pytest.raises(DriverError, match=r"ca\.key: the key of ca\.crt is missing"):
        await planes.ensure(IDENTITY)


async def test_removing_ends_processes_and_deletes_data_keys_and_logs(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    await planes.remove(IDENTITY)
    assert Supervisor(machine.state).status() == ()
    assert len(machine.deleted) == 2
    assert list((machine.state / "clusters").iterdir()) == []
    assert list((machine.state / "logs").iterdir()) == []
    assert (await planes.observe(IDENTITY)).stage is Stage.ABSENT


async def test_a_removal_that_was_interrupted_is_not_taken_for_done(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    (machine.folder / "record.json").unlink()
    assert (await planes.observe(IDENTITY)).stage is Stage.STOPPED


async def test_without_etcd_a_removal_waits_and_keeps_the_folder(machine: Machine) -> None:
    planes = machine.planes()
    await planes.ensure(IDENTITY)
    machine.store.socket.unlink()
    with pytest.raises(DriverError, match=r"the keys under /ns\.tenant1/ cannot be deleted"):
        await planes.remove(IDENTITY)
    assert (await planes.observe(IDENTITY)).stage is Stage.STOPPED


@pytest.mark.parametrize("prefix", ["", "/", "//", "/a", "a/"])
async def test_only_the_keys_of_one_cluster_can_be_deleted(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not the prefix of one cluster"):
        await etcdkeys.delete_prefix(tmp_path / "none", prefix)
