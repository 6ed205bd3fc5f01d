"""A DPUCluster of type dpf/local, with real processes: made, broken, healed, joined to, deleted."""

from __future__ import annotations

import os
import signal

import pytest

from dpf.api.core import ConfigMap, Secret
from dpf.kube import errors
from dpf.provisioning.clustermanager.local import apply
from dpf.provisioning.dpucluster import kubeconfig
from dpf.kube.http import HTTPClient
from tests.integration.provisioning.conftest import CLUSTER, Machine

pytestmark = pytest.mark.parts


async def test_up(machine: Machine) -> None:
    import time
    t=time.time()
    await machine.create()
    c = await machine.until_phase("Ready")
    print("READY", time.time()-t, c)
    for w in machine.host.writes: print(w)
    print(machine.processes())
    os.kill(machine.pid("kube-apiserver"), signal.SIGKILL)
    t=time.time()
    c = await machine.until_phase("NotReady")
    print("NOTREADY", time.time()-t, c)
    t=time.time()
    c = await machine.until_phase("Ready")
    print("READY", time.time()-t, c)
    t=time.time()
    await machine.host.delete(type(c), CLUSTER.name, CLUSTER.namespace)
    await machine.until_gone()
    print("GONE", time.time()-t, machine.processes(), [str(p) for p in machine.state.rglob("*")])
    for w in machine.host.writes: print(w)
    print(machine.host.objects(Secret))
