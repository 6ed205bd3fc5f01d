"""Where a pod's files are on the node: `<node>/pods/<namespace>_<name>_<uid>/`.

    pod.json                 the record (`records`)
    volumes/<volume>/        content of volumes
    <container>/<n>.log      log of the container's n-th life
    <container>/root         links at the container's mount paths
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from dpf.api.core import Pod


def of_pod(node: Path, pod: Pod) -> Path:
    """The pod's folder inside its node's folder."""
    meta = pod.metadata
    return node / "pods" / f"{meta.namespace}_{meta.name}_{meta.uid}"


def all_of(node: Path) -> Iterator[tuple[str, Path]]:
    """(uid, folder) of every pod that has left something on the node."""
    pods = node / "pods"
    for folder in sorted(pods.iterdir()) if pods.is_dir() else ():
        yield folder.name.rpartition("_")[2], folder


def log(pod: Path, container: str, attempt: int) -> Path:
    """The log of one life of a container."""
    return pod / container / f"{attempt}.log"


def root(pod: Path, container: str) -> Path:
    """Where the container finds its mounts."""
    return pod / container / "root"


def volume(pod: Path, name: str) -> Path:
    """The content of one volume."""
    return pod / "volumes" / name


def remove(pod: Path) -> None:
    """Remove the folder; what cannot be removed now is found at the next start of the kubelet."""
    shutil.rmtree(pod, ignore_errors=True)
