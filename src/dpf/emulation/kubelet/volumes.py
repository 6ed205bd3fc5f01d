"""What is in a pod's volumes, and putting it on disk.

`render` is pure: volume -> files. `write` makes a folder hold exactly these files. There is no mount namespace: a
container finds its mounts under the folder in $DPF_VOLUME_ROOT, each at its mountPath. emptyDir is a folder of the pod;
hostPath and everything that needs a driver is an empty folder instead, and `find_unsupported` says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dpf.api.core import Container, Pod
from dpf.emulation.kubelet import downward
from dpf.emulation.kubelet import sources as references
from dpf.emulation.kubelet.downward import Placement
from dpf.emulation.kubelet.sources import MissingReference, Sources
from dpf.local import files

ROOT_VARIABLE: Final = "DPF_VOLUME_ROOT"
_EMULATED: Final = frozenset({"configMap", "secret", "projected", "downwardAPI", "emptyDir"})
Content = Mapping[str, bytes]
"""Relative path -> content."""


def render(pod: Pod, sources: Sources, placement: Placement) -> dict[str, Content | None]:
    """Files of every volume by its name; None is a folder that belongs to the containers. Raises MissingReference."""
    return {str(volume["name"]): _content(pod, volume, sources, placement) for volume in pod.spec.volumes or ()}


def find_unsupported(pod: Pod) -> list[str]:
    """One line for each volume that is not emulated."""
    lines = []
    for volume in pod.spec.volumes or ():
        kinds = sorted(set(volume) - {"name"})
        if not _EMULATED.intersection(kinds):
            what = f"volume {volume.get('name')} ({', '.join(kinds)})"
            lines.append(f"{what} is not emulated: an empty folder stands for it")
    return lines


def write(folder: Path, content: Content | None) -> None:
    """Make `folder` hold `content`: changed files are replaced whole, others are left alone, stale ones removed."""
    files.ensure_private_folder(folder)
    if content is None:
        return
    for relative, data in content.items():
        files.ensure_private_folder((folder / relative).parent)
        files.write_atomic(folder / relative, data)
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in content:
            path.unlink()


def link_mounts(container: Container, volumes: Path, root: Path) -> None:
    """Make `root` the tree of the container's mounts: links at every mountPath to the volume, or to its subPath."""
    shutil.rmtree(root, ignore_errors=True)
    files.ensure_private_folder(root)
    for mount in sorted(container.volumeMounts or (), key=lambda m: m.mountPath):
        place = root / _relative(mount.mountPath)
        target = volumes / mount.name / _relative(mount.subPath or "")
        if place == root or place.is_symlink() or place.parent.resolve() != place.parent:
            continue  # A mount inside another mount has no place of its own in a tree of links.
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def _content(pod: Pod, volume: Mapping[str, Any], sources: Sources, placement: Placement) -> Content | None:
    if "projected" in volume:
        merged: dict[str, bytes] = {}
        for source in volume["projected"].get("sources") or ():
            merged.update(_source_content(pod, source, sources, placement) or {})
        return merged
    return _source_content(pod, volume, sources, placement)


def _source_content(pod: Pod, source: Mapping[str, Any], sources: Sources, placement: Placement) -> Content | None:
    if "configMap" in source:
        reference = source["configMap"]
        optional = bool(reference.get("optional"))
        return _pick(sources.config_map(str(reference.get("name", "")), optional=optional), reference)
    if "secret" in source:
        reference = source["secret"]
        optional = bool(reference.get("optional"))
        return _pick(sources.secret(references.secret_name(reference), optional=optional), reference)
    if "serviceAccountToken" in source:
        reference = source["serviceAccountToken"]
        token = sources.tokens.get(references.token_need(reference))
        if token is None:
            raise MissingReference(f"no token for service account {pod.spec.serviceAccountName!r}")
        return {_safe(reference.get("path")): token.encode()}
    if "downwardAPI" in source:
        items = source["downwardAPI"].get("items") or ()
        return {_safe(item.get("path")): _told(pod, item, placement) for item in items}
    return None


def _pick(data: Mapping[str, bytes], reference: Mapping[str, Any]) -> dict[str, bytes]:
    """All keys as files, or only those in `items` at their paths."""
    items = reference.get("items")
    if not items:
        return {_safe(key): value for key, value in data.items()}
    picked = {}
    for item in items:
        key = str(item.get("key", ""))
        if key in data:
            picked[_safe(item.get("path"))] = data[key]
        elif not reference.get("optional"):
            raise MissingReference(f"references non-existent config key: {key}")
    return picked


def _told(pod: Pod, item: Mapping[str, Any], placement: Placement) -> bytes:
    if "fieldRef" in item:
        return downward.field_value(pod, str(item["fieldRef"].get("fieldPath", "")), placement).encode()
    reference = item.get("resourceFieldRef") or {}
    named = [c for c in pod.spec.containers if c.name == reference.get("containerName")]
    if not named:
        raise MissingReference(f"resourceFieldRef names no container of the pod: {reference.get('containerName')!r}")
    return downward.resource_value(named[0], reference, placement).encode()


def _safe(path: object) -> str:
    """A relative path that stays inside the volume. The API server checks too; a volume must never trust that."""
    relative = PurePosixPath(str(path or ""))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise MissingReference(f"path {str(path)!r} in a volume is not a relative path inside it")
    return str(relative)


def _relative(path: str) -> Path:
    """A container path as one below a root, `..` taken out."""
    return Path(*(part for part in PurePosixPath(path).parts if part not in {"/", ".."}))
