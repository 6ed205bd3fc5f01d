"""Everything that is written for a DPUCluster of type kamaji (behaviour-provisioning.md section 16, scenario 52).

The files are for reading, as whoever installs Kamaji would. `UPDATE_GOLDEN=1` writes them anew; read the difference,
line by line, before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
import yaml
from tests.support import kamajis as some

from dpf.api import core
from dpf.api.dpucluster import DPUCluster
from dpf.api.meta import Object
from dpf.provisioning.clustermanager.kamaji import plan as planner
from dpf.provisioning.clustermanager.kamaji.snapshot import Snapshot
from dpf.runtime.plan import Apply

HERE = Path(__file__).parent


@pytest.mark.parametrize(("file", "cluster"), [
    ("plain.yaml", some.a_kamaji_cluster(phase="Creating")),
    ("vip.yaml", some.a_kamaji_cluster(phase="Creating", keepalived=some.KEEPALIVED, version="1.34.2")),
])
def test_objects_are_as_they_were_read(file: str, cluster: DPUCluster) -> None:
    text = "".join(f"---\n{yaml.dump(_tree(obj), Dumper=_Readable, sort_keys=False)}" for obj in _written(cluster))
    if os.environ.get("UPDATE_GOLDEN"):
        (HERE / file).write_text(text)
    assert text == (HERE / file).read_text()


def _written(cluster: DPUCluster) -> list[Object]:
    """First the Service; the rest when the API server has chosen a node port."""
    first = _applied(Snapshot(cluster=cluster))
    (service,) = first
    assert isinstance(service, core.Service)
    ports = [msgspec.structs.replace(port, nodePort=some.NODE_PORT) for port in service.spec.ports or ()]
    chosen = msgspec.structs.replace(service, spec=msgspec.structs.replace(service.spec, ports=ports))
    return first + _applied(Snapshot(cluster=cluster, service=chosen))


def _applied(snapshot: Snapshot) -> list[Object]:
    plan = planner.plan(snapshot)
    return [action.object for step in plan.steps for action in step.actions if isinstance(action, Apply)]


class _Readable(yaml.SafeDumper):
    """Texts of several lines as a person would write them."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def _tree(obj: Object) -> object:
    identity = {"apiVersion": obj.resource.api_version, "kind": obj.resource.kind}
    return {**identity, **msgspec.to_builtins(obj)}
