"""Volumes: their files on disk, how they follow changes, and how a container finds them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from dpf.api.core import ConfigMap, Container, Pod, PodSpec, Secret, VolumeMount
from dpf.api.meta import ObjectMeta
from dpf.emulation.kubelet import volumes
from dpf.emulation.kubelet.downward import Placement
from dpf.emulation.kubelet.sources import MissingReference, Sources, TokenNeed

PLACE = Placement(pod_ip="198.19.0.2", host_ip="198.18.0.2", allocatable={})
SOURCES = Sources(
    config_maps={"settings": ConfigMap(metadata=ObjectMeta(name="settings"), data={"a": "1", "b": "2"})},
    secrets={"login": Secret(metadata=ObjectMeta(name="login"), data={"key": base64.b64encode(b"\x00\xff").decode()})},
    tokens={TokenNeed(audience=None, life_s=3607): "the token"},
)


def _render(**volume: Any) -> volumes.Content | None:
    pod = Pod(metadata=ObjectMeta(name="p", namespace="ns"), spec=PodSpec(volumes=[{"name": "v", **volume}]))
    return volumes.render(pod, SOURCES, PLACE)["v"]


@pytest.mark.parametrize(("volume", "content"), [
    ({"configMap": {"name": "settings"}}, {"a": b"1", "b": b"2"}),
    ({"configMap": {"name": "settings", "items": [{"key": "a", "path": "deep/er"}]}}, {"deep/er": b"1"}),
    ({"configMap": {"name": "absent", "optional": True}}, {}),
    ({"secret": {"secretName": "login"}}, {"key": b"\x00\xff"}),
    ({"emptyDir": {}}, None),
    ({"hostPath": {"path": "/etc"}}, None),
    ({"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}, {"ns": b"ns"}),
    ({"projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "settings", "items": [{"key": "a", "path": "ca.crt"}]}},
    ]}}, {"token": b"the token", "ca.crt": b"1"}),
], ids=["configMap", "items", "optional", "secret", "emptyDir", "hostPath", "downwardAPI", "projected"])
def test_content_of_each_kind(volume: dict[str, Any], content: volumes.Content | None) -> None:
    assert _render(**volume) == content


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", ""])
def test_a_path_never_leaves_the_volume(path: str) -> None:
    with pytest.raises(MissingReference, match="is not a relative path inside it"):
        _render(configMap={"name": "settings", "items": [{"key": "a", "path": path}]})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(MissingReference, match="non-existent config key: c"):
        _render(configMap={"name": "settings", "items": [{"key": "c", "path": "c"}]})


def test_files_are_private_and_follow_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    volumes.write(folder, {"a": b"1", "d/b": b"2"})
    before = (folder / "a").stat().st_ino
    volumes.write(folder, {"a": b"1", "c": b"3"})
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == ["a", "c"]
    assert (folder / "a").stat().st_ino == before, "an unchanged file is left alone"
    assert stat.S_IMODE((folder / "c").stat().st_mode) == 0o600


def test_an_empty_dir_keeps_what_containers_wrote(tmp_path: Path) -> None:
    volumes.write(tmp_path / "v", None)
    (tmp_path / "v" / "mine").write_text("x")
    volumes.write(tmp_path / "v", None)
    assert (tmp_path / "v" / "mine").read_text() == "x"


def test_mounts_are_found_below_the_root(tmp_path: Path) -> None:
    volumes.write(tmp_path / "volumes" / "v", {"file": b"1"})
    container = Container(name="c", volumeMounts=[
        VolumeMount(name="v", mountPath="/etc/app"), VolumeMount(name="v", mountPath="/one/file", subPath="file"),
        VolumeMount(name="v", mountPath="/etc/app/inside"), VolumeMount(name="v", mountPath="/../../escape"),
    ])
    root = tmp_path / "root"
    for _ in range(2):
        volumes.link_mounts(container, tmp_path / "volumes", root)
        assert (root / "etc/app/file").read_bytes() == b"1"
        assert (root / "one/file").read_bytes() == b"1"
        assert (root / "escape/file").read_bytes() == b"1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "volumes"]
    assert [path.name for path in (tmp_path / "volumes" / "v").iterdir()] == ["file"]


def test_what_is_not_emulated_is_said() -> None:
    pod = Pod(spec=PodSpec(volumes=[
        {"name": "h", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "x"}},
    ]))
    lines = volumes.find_unsupported(pod)
    assert [line.split(" is not")[0] for line in lines] == ["volume h (hostPath)", "volume p (persistentVolumeClaim)"]
