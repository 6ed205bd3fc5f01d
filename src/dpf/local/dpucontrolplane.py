"""Control planes of DPU clusters as processes of this machine.

The real implementation of `provisioning.clustermanager.local.driver.ControlPlane`, over the supervisor and the same
process specs as the host cluster's. Per DPUCluster: a folder `<state>/clusters/<namespace>.<name>/` with its keys and a
record of its port; an API server, a controller manager and a scheduler; a prefix in the platform's one etcd. Nothing is
remembered in memory. It does not start etcd: that is the platform's.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import ssl as tls
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from dpf.api.meta import Key
from dpf.local import controlplane, errors, etcdkeys, files
from dpf.local.controlplane import ClusterFiles, Store
from dpf.local.supervisor import errors as supervisor_errors
from dpf.local.supervisor import launch, ports
from dpf.local.supervisor.asynchronous import AsyncSupervisor
from dpf.local.supervisor.spec import ProcessSpec
from dpf.local.supervisor.supervisor import Process
from dpf.provisioning.clustermanager.local.driver import Access, ControlPlaneState, Identity, Stage
from dpf.runtime.clock import Clock, SystemClock
from dpf.runtime.reconciler import DriverError

API_SERVER: Final = "kube-apiserver"
COMPONENTS: Final = (API_SERVER, "kube-controller-manager", "kube-scheduler")

OBSERVE_PATIENCE_S: Final = 2.0
"""How long a look waits for an API server that is about to serve (a fresh one takes two seconds)."""
START_PATIENCE_S: Final = 5.0
LATE_AFTER: Final = timedelta(seconds=30)
"""By then a start has ended well, or something is wrong that waiting does not mend."""
LATE_PATIENCE_S: Final = 0.5
PORT_PATIENCE_S: Final = 2.0
RESTART_PAUSE_S: Final = 5.0
"""What ends right after its start is not started again sooner."""
ENSURE_AGAIN: Final = timedelta(days=1)
"""How often keys and certificates are looked through for renewal."""
_ID_MAX: Final = 80
"""Room for a component's name within a process name (supervisor.spec)."""
_LAST_ERROR_MAX: Final = 300
_ERROR_LINE: Final = re.compile(r"(?:[EF]\d{4} [^\]]*\] |(?=panic: |Error: ))(?P<text>.+)")
"""How a Kubernetes component logs an error, and what Go and a bad flag print without a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The engines. `version` is their Kubernetes version, e.g. `v1.36.3`."""

    apiserver: Path
    controller_manager: Path
    scheduler: Path
    version: str

    @property
    def digest(self) -> str:
        """Changes when other programs should run."""
        return files.digest(*(str(p).encode() for p in (self.apiserver, self.controller_manager, self.scheduler)))


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster's folder remembers: whose it is, and the port that its nodes know.

    `started_at` is when it was last started; `programs` are those of a start that was completed.
    """

    uid: str
    port: int
    programs: str = ""
    started_at: datetime | None = None


def cluster_id(cluster: Key) -> str:
    """The name of a cluster's folder, processes and etcd prefix.

    A dot separates, for neither a namespace nor a DPUCluster has one: `a-b/c` and `a/b-c` must not meet.
    """
    plain = f"{cluster.namespace}.{cluster.name}"
    if len(plain) <= _ID_MAX:
        return plain
    return f"{plain[:_ID_MAX - 9].rstrip('-.')}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


class ProcessControlPlane:
    """The control planes of one state folder. `reserved_ports` are never given to a new one."""

    def __init__(
        self, *, state: Path, store: Store, programs: Programs, reserved_ports: Collection[int] = (),
        clock: Clock | None = None,
    ) -> None:
        self._clusters = state / "clusters"
        self._logs = state / "logs"
        self._supervisor = AsyncSupervisor(state)
        self._store = store
        self._programs = programs
        self._reserved_ports = frozenset(reserved_ports)
        self._clock = clock or SystemClock()
        self._choosing_port = asyncio.Lock()

    async def observe(self, identity: Identity) -> ControlPlaneState:
        """See `driver.ControlPlane`."""
        try:
            async with _told_to_people():
                record = await asyncio.to_thread(self._record, identity.key)
                found = await self._processes(identity.key)
                if record is None or record.uid != identity.uid:
                    return self._unclaimed(identity.key, found)
                return await self._claimed(identity.key, record, found)
        except DriverError as error:
            return ControlPlaneState(stage=Stage.STOPPED, why=str(error))

    async def ensure(self, identity: Identity) -> None:
        """See `driver.ControlPlane`. The other components start once the API server serves: they would only wait."""
        async with _told_to_people():
            record = await self._claim(identity)
            cluster = await asyncio.to_thread(self._write_files, identity.key, record)
            api_server, *others = self._specs(cluster)
            if await self._supervisor.observe(api_server.name) is None:
                await _until_port_is_free(record.port)
            record = msgspec.structs.replace(record, programs="", started_at=self._clock.now())
            await asyncio.to_thread(self._write_record, identity.key, record)
            process = (await self._supervisor.ensure(api_server)).process
            if await self._serves(cluster.folder, record.port, process, START_PATIENCE_S):
                for spec in others:
                    await self._supervisor.ensure(spec)
                record = msgspec.structs.replace(record, programs=self._programs.digest)
                await asyncio.to_thread(self._write_record, identity.key, record)

    async def remove(self, identity: Identity) -> None:
        """See `driver.ControlPlane`. The folder goes last: while it is there, something may be left."""
        async with _told_to_people():
            await self._wipe(identity.key)

    async def _claim(self, identity: Identity) -> _Record:
        """The record of this DPUCluster; made, after wiping out whatever has its name, when there is none."""
        record = await asyncio.to_thread(self._record, identity.key)
        if record is not None and record.uid == identity.uid:
            return record
        await self._wipe(identity.key)
        async with self._choosing_port:
            record = _Record(uid=identity.uid, port=await asyncio.to_thread(self._choose_port))
            await asyncio.to_thread(files.ensure_private_folder, self._folder(identity.key))
            await asyncio.to_thread(self._write_record, identity.key, record)
        return record

    async def _wipe(self, cluster: Key) -> None:
        name = cluster_id(cluster)
        processes = [f"{name}-{component}" for component in COMPONENTS]
        await self._supervisor.stop(processes)
        await etcdkeys.delete_prefix(self._store.socket, f"/{name}/")
        for process in processes:
            self._log(process).unlink(missing_ok=True)
        folder = self._folder(cluster)
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)

    def _unclaimed(self, cluster: Key, found: dict[str, Process | None]) -> ControlPlaneState:
        if not self._folder(cluster).exists() and not any(found.values()):
            return ControlPlaneState(stage=Stage.ABSENT)
        why = f"{self._folder(cluster)} holds the remains of an earlier control plane of this name"
        return ControlPlaneState(stage=Stage.STOPPED, why=why)

    async def _claimed(self, cluster: Key, record: _Record, found: dict[str, Process | None]) -> ControlPlaneState:
        process = found[API_SERVER]
        if process is None:
            return self._stopped(cluster, record, API_SERVER)
        late = record.started_at is None or record.started_at + LATE_AFTER < self._clock.now()
        patience_s = LATE_PATIENCE_S if late else OBSERVE_PATIENCE_S
        if not await self._serves(self._folder(cluster), record.port, process, patience_s):
            if await self._supervisor.observe(process.name) is None:
                return self._stopped(cluster, record, API_SERVER)
            why = f"{API_SERVER} runs and is not ready to serve (its log: {self._log(process.name)})"
            return ControlPlaneState(stage=Stage.STARTING, why=why, late=late)
        ended = next((component for component in COMPONENTS if found[component] is None), None)
        if ended is not None:
            return self._stopped(cluster, record, ended)
        return await asyncio.to_thread(self._running, cluster, record)

    def _stopped(self, cluster: Key, record: _Record, component: str) -> ControlPlaneState:
        """A component does not run. One that ended right after its start has a pause before the next, and a reason."""
        log = self._log(f"{cluster_id(cluster)}-{component}")
        not_before = None
        if record.started_at is not None and log.exists():
            not_before = record.started_at + timedelta(seconds=RESTART_PAUSE_S)
        if not_before is None or self._clock.now() >= not_before:
            return ControlPlaneState(stage=Stage.STOPPED, why=f"{component} does not run (its log: {log})")
        why = f"{component} ended right after its start{_last_error(log)} (its log: {log})"
        return ControlPlaneState(stage=Stage.STOPPED, why=why, not_before=not_before)

    def _running(self, cluster: Key, record: _Record) -> ControlPlaneState:
        folder = self._folder(cluster)
        access = Access(
            endpoint=_server(record.port), ca_pem=(folder / "ca.crt").read_bytes(),
            kubeconfig=(folder / "admin.kubeconfig").read_bytes(), version=self._programs.version,
        )
        due = record.started_at is None or record.started_at + ENSURE_AGAIN < self._clock.now()
        return ControlPlaneState(
            stage=Stage.RUNNING, access=access, outdated=due or record.programs != self._programs.digest,
        )

    async def _processes(self, cluster: Key) -> dict[str, Process | None]:
        return {
            component: await self._supervisor.observe(f"{cluster_id(cluster)}-{component}") for component in COMPONENTS
        }

    async def _serves(self, folder: Path, port: int, process: Process, patience_s: float) -> bool:
        ssl = tls.create_default_context(cafile=str(folder / "ca.crt"))
        try:
            await controlplane.wait_ready(_server(port), ssl=ssl, process=process, deadline_s=patience_s)
        except controlplane.NotReady:
            return False
        return True

    def _write_files(self, cluster: Key, record: _Record) -> ClusterFiles:
        return controlplane.write_cluster_files(
            self._folder(cluster), name=cluster_id(cluster), port=record.port, now=self._clock.now(),
        )

    def _specs(self, cluster: ClusterFiles) -> tuple[ProcessSpec, ProcessSpec, ProcessSpec]:
        return (
            controlplane.apiserver_spec(cluster, self._store, self._programs.apiserver, logs=self._logs),
            controlplane.controller_manager_spec(cluster, self._programs.controller_manager, logs=self._logs),
            controlplane.scheduler_spec(cluster, self._programs.scheduler, logs=self._logs),
        )

    def _choose_port(self) -> int:
        records = (_read_record(folder) for folder in self._clusters.glob("*"))
        taken = {record.port for record in records if record is not None}
        return ports.find_free_port(avoid=taken | self._reserved_ports)

    def _record(self, cluster: Key) -> _Record | None:
        return _read_record(self._folder(cluster))

    def _write_record(self, cluster: Key, record: _Record) -> None:
        files.write_atomic(self._folder(cluster) / "record.json", msgspec.json.encode(record))

    def _folder(self, cluster: Key) -> Path:
        return self._clusters / cluster_id(cluster)

    def _log(self, process: str) -> Path:
        return self._logs / f"{process}.log"


@asynccontextmanager
async def _told_to_people() -> AsyncIterator[None]:
    """What goes wrong on this machine becomes the one error that the manager knows, with the same message."""
    try:
        yield
    except (errors.LocalError, supervisor_errors.Error, ports.NoFreePort) as error:
        raise DriverError(str(error)) from error
    except OSError as error:
        raise DriverError(f"{error.filename or 'this machine'}: {error.strerror or error}") from error


def _server(port: int) -> str:
    return f"https://{controlplane.LOOPBACK}:{port}"


def _read_record(folder: Path) -> _Record | None:
    """None when there is none. Raises LocalError for one that cannot be read: that is no reason to wipe its data."""
    path = folder / "record.json"
    content = files.read_if_exists(path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=_Record)
    except msgspec.DecodeError as error:
        remedy = "restore it, or delete its DPUCluster to start over"
        raise errors.LocalError(f"{path} is damaged ({error}): {remedy}") from error


async def _until_port_is_free(port: int) -> None:
    """Raises LocalError when it stays taken. It cannot be another port: joined DPUs and the kubeconfig know this one.

    A killed API server counts as ended as soon as its first thread is gone, and listens until its last one is.
    """
    deadline = time.monotonic() + PORT_PATIENCE_S
    while not ports.is_free(port, controlplane.LOOPBACK):
        if time.monotonic() > deadline:
            owner = ports.port_owner(port) or f"port {port} is in use"
            raise errors.LocalError(f"{owner}, and this control plane has always served there: stop that program")
        await asyncio.sleep(controlplane.POLL_INTERVAL_S)


def _last_error(log: Path) -> str:
    """`: ` and the last error in a component's log, without its time stamp: the same failure reads the same."""
    found = [match for line in launch.log_tail(log) if (match := _ERROR_LINE.match(line))]
    return f": {found[-1]['text'][:_LAST_ERROR_MAX]}" if found else ""
