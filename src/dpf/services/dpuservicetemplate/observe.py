"""Reads what a pass over a DPUServiceTemplate needs: what its chart says, and with whose credentials to ask.

Called by the controller. Reads only. The repository is asked beside the passes (`readings`), and only when this process
has not read this very source before. Secrets and certificates are read fresh, right before.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api import core
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.meta import object_key
from dpf.kube import errors
from dpf.kube.clusters import ClusterRegistry
from dpf.runtime.mirrors import Mirrors
from dpf.services.dpuservice import watches
from dpf.services.dpuservicetemplate import snapshot as values
from dpf.services.dpuservicetemplate.readings import Readings
from dpf.services.dpuservicetemplate.snapshot import Failed, Outcome, Read, Reading, Snapshot
from dpf.services.helm import credentials, sources
from dpf.services.helm.port import Access, ChartError, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is read from. In `dpf_namespace` is the DPFOperatorConfig, and Argo CD unless that says otherwise."""

    clusters: ClusterRegistry
    readings: Readings
    mirrors: Mirrors
    dpf_namespace: str


async def snapshot(world: World, template: DPUServiceTemplate) -> Snapshot:
    """One look. Raises kube.errors.Error when the host cluster does not answer."""
    digest = values.source_digest(template)
    if template.metadata.deletionTimestamp is not None:
        world.readings.forget(object_key(template))
        return Snapshot(template=template, digest=digest)
    if template.spec is None:
        return Snapshot(template=template, digest=digest, problem="the object has no spec; add spec.helmChart.source")
    try:
        source = sources.locate(template.spec.helmChart.source, world.mirrors)
        outcome = await _outcome(world, template, digest, source)
    except ChartError as error:
        return Snapshot(template=template, digest=digest, problem=str(error))
    return Snapshot(template=template, digest=digest, outcome=outcome)


async def _outcome(world: World, template: DPUServiceTemplate, digest: str, source: Source) -> Outcome:
    key = object_key(template)
    match world.readings.look(key, digest):
        case Read() | Reading() | Failed(again=True) as known:
            return known
        case Failed() | None:
            access = await _access(world, source)
            return await world.readings.ask(key, digest, source, access)


async def _access(world: World, source: Source) -> Access:
    """What Argo CD's configuration has for the repository. Raises ChartError, kube.errors.Error."""
    client = world.clusters.host.client
    namespace = _argocd_namespace(world)
    secrets = await client.list(core.Secret, namespace, labels=credentials.REPOSITORY_SELECTOR)
    try:
        certificates = await client.get(core.ConfigMap, credentials.TLS_CERTS, namespace)
    except errors.NotFound:
        certificates = None
    return credentials.access(secrets.items, certificates, source.repository)


def _argocd_namespace(world: World) -> str:
    configs = world.clusters.host.cache.list(DPFOperatorConfig, world.dpf_namespace)
    return next((ns for config in configs if (ns := watches.argocd_namespace(config))), world.dpf_namespace)
