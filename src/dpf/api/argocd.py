"""The few fields of Argo CD's Application and AppProject that this project writes or reads (Argo CD 3.2).

Fields of type `Foreign` are never written: they are there so that what others add to an Application is seen.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dpf.api.meta import FreeForm, Model, Object, Resource

Foreign = Any
"""Any JSON value in a field that only others set; of no interest but for being there."""

RESOURCES_FINALIZER = "resources-finalizer.argocd.argoproj.io"
"""With this finalizer Argo CD deletes what it installed before the Application goes."""

SKIP_RECONCILE_ANNOTATION = "argocd.argoproj.io/skip-reconcile"
"""Set to "true", Argo CD leaves the Application alone."""

SECRET_TYPE_LABEL = "argocd.argoproj.io/secret-type"  # noqa: S105 - a label key
"""On Secrets that Argo CD reads: `cluster` or `repository`."""


class HelmSource(Model):
    """Helm part of a source; the release name defaults to the Application's name."""

    releaseName: str | None = None
    valuesObject: FreeForm | None = None
    values: Foreign = None
    valueFiles: Foreign = None
    parameters: Foreign = None
    fileParameters: Foreign = None
    version: Foreign = None
    passCredentials: Foreign = None
    ignoreMissingValueFiles: Foreign = None
    skipCrds: Foreign = None
    skipSchemaValidation: Foreign = None
    skipTests: Foreign = None
    namespace: Foreign = None
    kubeVersion: Foreign = None
    apiVersions: Foreign = None


class ApplicationSource(Model):
    """Where the chart is."""

    repoURL: str
    chart: str | None = None
    path: str | None = None
    targetRevision: str | None = None
    helm: HelmSource | None = None
    kustomize: Foreign = None
    directory: Foreign = None
    plugin: Foreign = None
    ref: Foreign = None
    name: Foreign = None


class ApplicationDestination(Model):
    """Cluster (by the `name` of its cluster Secret) and namespace."""

    name: str | None = None
    server: str | None = None
    namespace: str | None = None


class AutomatedSync(Model):
    """Automatic sync."""

    prune: bool | None = None
    selfHeal: bool | None = None
    allowEmpty: Foreign = None
    enabled: Foreign = None


class SyncPolicy(Model):
    """How Argo CD keeps the Application in sync."""

    automated: AutomatedSync | None = None
    syncOptions: list[str] | None = None
    retry: Foreign = None
    managedNamespaceMetadata: Foreign = None


class ApplicationSpec(Model):
    """Application spec."""

    destination: ApplicationDestination
    project: str
    source: ApplicationSource | None = None
    syncPolicy: SyncPolicy | None = None
    sources: Foreign = None
    sourceHydrator: Foreign = None
    ignoreDifferences: Foreign = None
    info: Foreign = None
    revisionHistoryLimit: Foreign = None


class ComparedTo(Model):
    """The spec that the sync status speaks about; an older one while Argo CD has not looked again."""

    source: ApplicationSource | None = None


class SyncStatus(Model):
    """Synced, OutOfSync or Unknown."""

    status: str | None = None
    revision: str | None = None
    comparedTo: ComparedTo | None = None


class HealthStatus(Model):
    """Healthy, Progressing, Degraded, Suspended, Missing or Unknown."""

    status: str | None = None
    message: str | None = None


class ApplicationCondition(Model):
    """An error or warning of Argo CD about the Application, e.g. ComparisonError."""

    type: str
    message: str
    lastTransitionTime: str | None = None


class ResourceStatus(Model):
    """One object that the Application installed."""

    kind: str
    name: str
    group: str | None = None
    version: str | None = None
    namespace: str | None = None
    status: str | None = None
    health: HealthStatus | None = None


class OperationState(Model):
    """The last sync operation."""

    phase: str | None = None
    message: str | None = None
    startedAt: str | None = None
    finishedAt: str | None = None


class ApplicationStatus(Model):
    """Application status."""

    sync: SyncStatus = SyncStatus()
    health: HealthStatus = HealthStatus()
    conditions: list[ApplicationCondition] | None = None
    resources: list[ResourceStatus] | None = None
    operationState: OperationState | None = None
    reconciledAt: str | None = None


class Application(Object, kw_only=True):
    """argoproj.io/v1alpha1 Application."""

    resource: ClassVar[Resource] = Resource("argoproj.io", "v1alpha1", "Application", "applications")
    spec: ApplicationSpec
    status: ApplicationStatus = ApplicationStatus()


class GroupKind(Model):
    """A kind for a white list; `*` matches all."""

    group: str
    kind: str


class ProjectDestination(Model):
    """Where Applications of the project may go."""

    name: str | None = None
    server: str | None = None
    namespace: str | None = None


class AppProjectSpec(Model):
    """AppProject spec."""

    description: str | None = None
    sourceRepos: list[str] | None = None
    destinations: list[ProjectDestination] | None = None
    clusterResourceWhitelist: list[GroupKind] | None = None
    orphanedResources: FreeForm | None = None
    sourceNamespaces: list[str] | None = None


class AppProject(Object):
    """argoproj.io/v1alpha1 AppProject."""

    resource: ClassVar[Resource] = Resource("argoproj.io", "v1alpha1", "AppProject", "appprojects")
    spec: AppProjectSpec = AppProjectSpec()
