"""YAML files to objects, and objects to a cluster with as few writes as possible."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from dpf.api import argocd, bfb, core, dpfoperatorconfig, dpucluster, dpudiscovery, dpuflavor, dpuservice, dpuset
from dpf.api.meta import Object
from dpf.kube import client as port
from dpf.kube import errors as kube_errors
from dpf.kube import wait
from dpf.local import errors

FIELD_OWNER: Final = "dpfctl-local"
DIGEST_ANNOTATION: Final = "local.dpu.nvidia.com/digest"

KINDS: Final[dict[tuple[str, str], type[Object]]] = {
    (kind.resource.api_version, kind.resource.kind): kind
    for kind in (
        core.Namespace, core.Secret, core.ConfigMap, core.ServiceAccount, core.Role, core.RoleBinding, core.ClusterRole,
        core.ClusterRoleBinding, core.CustomResourceDefinition, argocd.Application, argocd.AppProject,
        dpucluster.DPUCluster, dpuservice.DPUService, dpfoperatorconfig.DPFOperatorConfig, bfb.BFB,
        dpuflavor.DPUFlavor, dpuset.DPUSet, dpudiscovery.DPUDiscovery,
    )
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Without timestamps: `version: 2024-01-01` in a chart's values is a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def parse(text: str | bytes, source: str) -> list[Object]:
    """Objects of a YAML stream. Raises LocalError naming `source` and the document for anything we cannot serve."""
    try:
        documents = [d for d in yaml.load_all(text, Loader=_Loader) if d]
    except yaml.YAMLError as error:
        raise errors.LocalError(f"{source} is not valid YAML: {error}") from error
    return [_object(document, f"{source}, document {n}") for n, document in enumerate(documents, 1)]


def read(path: Path) -> list[Object]:
    """Objects of one YAML file."""
    return parse(path.read_bytes(), str(path))


async def ensure_crds(
    client: port.Client, crds: Sequence[core.CustomResourceDefinition], timeout_s: float = 30,
) -> None:
    """Apply CRDs that differ from what the server has (by digest) and wait until each is served."""
    async with asyncio.TaskGroup() as group:
        for crd in crds:
            group.create_task(_ensure_crd(client, crd, timeout_s))


async def ensure(client: port.Client, objects: Iterable[Object]) -> None:
    """Server-side apply of objects that do not depend on each other."""
    async with asyncio.TaskGroup() as group:
        for obj in objects:
            group.create_task(client.apply(obj, field_owner=FIELD_OWNER))


async def apply_files(kubectl: Path, kubeconfig: Path, folder: Path) -> None:
    """Server-side apply of every manifest in a folder, of whatever kinds. Raises LocalError with what kubectl said."""
    process = await asyncio.create_subprocess_exec(
        str(kubectl), "--kubeconfig", str(kubeconfig), "apply", "--server-side", "--force-conflicts",
        "--field-manager", FIELD_OWNER, "-f", str(folder), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise errors.LocalError(f"{folder} cannot be applied: {said.decode(errors='replace').strip()}")


async def _ensure_crd(client: port.Client, crd: core.CustomResourceDefinition, timeout_s: float) -> None:
    digest = hashlib.sha256(msgspec.json.encode(crd)).hexdigest()[:16]
    if not await _has_digest(client, crd, digest):
        annotations = {**(crd.metadata.annotations or {}), DIGEST_ANNOTATION: digest}
        metadata = msgspec.structs.replace(crd.metadata, annotations=annotations)
        await client.apply(msgspec.structs.replace(crd, metadata=metadata), field_owner=FIELD_OWNER)
    await wait.until(
        client, core.CustomResourceDefinition, crd.metadata.name,
        accept=lambda found: wait.condition_is_true(found, "Established"), timeout_s=timeout_s,
    )


async def _has_digest(client: port.Client, crd: core.CustomResourceDefinition, digest: str) -> bool:
    try:
        found = await client.get(core.CustomResourceDefinition, crd.metadata.name)
    except kube_errors.NotFound:
        return False
    return (found.metadata.annotations or {}).get(DIGEST_ANNOTATION) == digest


def _object(document: Any, source: str) -> Object:  # noqa: ANN401 - straight from YAML
    if not isinstance(document, dict):
        raise errors.LocalError(f"{source} is not an object")
    identity = (str(document.get("apiVersion")), str(document.get("kind")))
    kind = KINDS.get(identity)
    if kind is None:
        raise errors.LocalError(f"{source}: {identity[0]} {identity[1]} is not a kind that the platform installs")
    try:
        return msgspec.convert(document, type=kind)
    except msgspec.ValidationError as error:
        raise errors.LocalError(f"{source}: {error}") from error
