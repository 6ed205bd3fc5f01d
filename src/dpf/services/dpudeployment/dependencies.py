"""What a DPUDeployment builds on: is it there, does it fit, and does it know that it is in use?

Pure. Called by the planner (steps DEPENDENCIES and RELEASE), and by the watches and the observation for the list of
references. Source: behaviour-service.md 6.2. Whether versions and resources fit is decided in `versions` and
`resources`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from dpf.api import bfb as bfbs
from dpf.api import names
from dpf.api.bfb import BFB
from dpf.api.bluefieldsoftware import BlueFieldSoftware
from dpf.api.dpudeployment import DPUDeployment
from dpf.api.dpuflavor import DPUFlavor
from dpf.api.dpuflavortemplate import DPUFlavorTemplate
from dpf.api.dpuservice import DPUService
from dpf.api.dpuservicechain import DPUServiceChain
from dpf.api.dpuserviceconfiguration import DPUServiceConfiguration
from dpf.api.dpuserviceinterface import DPUServiceInterface
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key
from dpf.runtime import conditions
from dpf.runtime.plan import Action, Finding, Patch, Severity, Step
from dpf.services.dpudeployment import naming
from dpf.services.dpudeployment.snapshot import Dependency, Snapshot
from dpf.services.dpudeployment.steps import StepName

KINDS: Final[tuple[type[Dependency], ...]] = (
    BFB, BlueFieldSoftware, DPUFlavor, DPUFlavorTemplate, DPUServiceTemplate, DPUServiceConfiguration,
)
"""Everything that a DPUDeployment can name; the names are those of objects in its own namespace."""
CHILD_KINDS: Final[tuple[type[Object], ...]] = (DPUService, DPUServiceInterface, DPUServiceChain, DPUSet)

Reference = tuple[type[Dependency], str]
"""Kind and name."""


def references(deployment: DPUDeployment) -> tuple[Reference, ...]:
    """Everything that `deployment` names, each once: software and flavor first, then service by service."""
    spec = deployment.spec
    if spec is None:
        return ()
    dpus = spec.dpus
    software = ((BFB, dpus.bfb), (BlueFieldSoftware, dpus.blueFieldSoftware))
    flavors = ((DPUFlavor, dpus.flavor), (DPUFlavorTemplate, dpus.flavorTemplate))
    found: dict[Reference, None] = {(kind, name): None for kind, name in (*software, *flavors) if name}
    for _, service in sorted(spec.services.items()):
        found[DPUServiceTemplate, service.serviceTemplate] = None
        found[DPUServiceConfiguration, service.serviceConfiguration] = None
    return tuple(found)


def consumer_labels(dependency: Object) -> Iterator[str]:
    """The labels of every DPUDeployment that uses `dependency`."""
    prefix = names.CONSUMED_BY_DPUDEPLOYMENT_LABEL_PREFIX
    return (label for label in dependency.metadata.labels or {} if label.startswith(prefix))


def plan_step(snapshot: Snapshot) -> Step:
    """Marks what is there, and says what is missing or does not fit.

    What exists is marked even while something else is missing: it is protected from the moment it is named. What is no
    longer named is let go only when nothing is missing, for until then the children may still stand on it.
    """
    findings = tuple(problems(snapshot))
    marks = _marks(snapshot)
    return Step(
        name=StepName.DEPENDENCIES, findings=findings,
        actions=tuple(marks if findings else (*marks, *_releases(snapshot))),
    )


def plan_release(snapshot: Snapshot) -> Step:
    """Lets everything go: the DPUDeployment is about to disappear."""
    label = naming.consumer_label(snapshot.key)
    found = {(type(d), object_key(d)): d for d in (*_named(snapshot), *snapshot.marked)}
    actions = [_release(d, label, because="the DPUDeployment is being deleted") for d in found.values()]
    return Step(name=StepName.RELEASE, actions=tuple(a for a in actions if a is not None))


def problems(snapshot: Snapshot) -> Iterator[Finding]:
    """What keeps the deployment from going on, in the order of `references`."""
    spec = snapshot.deployment.spec
    if spec is None:
        yield _invalid("the DPUDeployment has no spec; say in spec which DPUs and services it is about")
        return
    dpus = spec.dpus
    if bool(dpus.bfb) == bool(dpus.blueFieldSoftware):
        yield _invalid("exactly one of bfb or blueFieldSoftware must be specified")
    if bool(dpus.flavor) == bool(dpus.flavorTemplate):
        yield _invalid("exactly one of flavor or flavorTemplate must be set")
    for kind, name in references(snapshot.deployment):
        yield from _reference_problem(snapshot, kind, name)
    yield from _service_problems(snapshot)
    children = [(kind, key, why) for (kind, key), why in snapshot.unreadable.items() if kind in CHILD_KINDS]
    for kind_, key, why in sorted(children, key=lambda child: (child[0].resource.kind, child[1])):
        yield _invalid(f"{_getting(kind_, key)}: {_unreadable(why)}")


def _reference_problem(snapshot: Snapshot, kind: type[Dependency], name: str) -> Iterator[Finding]:
    """Whether one dependency is there and, for what is flashed, ready."""
    key = Key(snapshot.key.namespace, name)
    if (kind, key) in snapshot.unreadable:
        yield _invalid(f"{_getting(kind, key)}: {_unreadable(snapshot.unreadable[kind, key])}")
        return
    dependency = _find(snapshot, kind, name)
    if dependency is None:
        absent = f'{kind.resource.qualified_name} "{name}" not found'
        yield Finding(severity=Severity.BLOCKED, message=f"{_getting(kind, key)}: {absent}")
    elif isinstance(dependency, BFB | BlueFieldSoftware) and dependency.status.phase != bfbs.Phase.READY:
        yield Finding(severity=Severity.WAITING, message=f"{kind.resource.kind} is not ready yet")


def _service_problems(snapshot: Snapshot) -> Iterator[Finding]:
    """Whether both halves of each service are meant for it, and what its chart says is known."""
    spec = snapshot.deployment.spec
    for service, names_ in sorted(spec.services.items()) if spec is not None else ():
        template = snapshot.templates.get(names_.serviceTemplate)
        configuration = snapshot.configurations.get(names_.serviceConfiguration)
        if template is not None and (template.spec is None or template.spec.deploymentServiceName != service):
            yield _mismatch(template)
        elif template is not None and not is_ready(template):
            text = f"DPUServiceTemplate {object_key(template)} is not ready yet"
            yield Finding(severity=Severity.WAITING, message=text)
        if configuration is not None and (
            configuration.spec is None or configuration.spec.deploymentServiceName != service
        ):
            yield _mismatch(configuration)


def is_ready(template: DPUServiceTemplate) -> bool:
    """Whether the versions in its status are those of the chart in its spec."""
    status = template.status
    current = status.observedGeneration == template.metadata.generation
    return current and conditions.is_true(status.conditions, conditions.READY)


def _mismatch(dependency: Object) -> Finding:
    return _invalid(
        f"service in {type(dependency).resource.kind} {object_key(dependency)} doesn't match requested service in"
        " DPUDeployment"
    )


def _getting(kind: type[Object], key: Key) -> str:
    return f"error while getting {kind.resource.api_version}, Kind={kind.resource.kind} {key}"


def _unreadable(why: str) -> str:
    return f"it cannot be read: {why}; correct the object"


def _invalid(text: str) -> Finding:
    return Finding(severity=Severity.INVALID, message=text)


def _find(snapshot: Snapshot, kind: type[Dependency], name: str) -> Dependency | None:
    """The object that a reference leads to. The deployment names one object of each of the first four kinds."""
    if kind is DPUServiceTemplate:
        return snapshot.templates.get(name)
    if kind is DPUServiceConfiguration:
        return snapshot.configurations.get(name)
    single = (snapshot.bfb, snapshot.bluefield_software, snapshot.flavor, snapshot.flavor_template)
    return next((dependency for dependency in single if type(dependency) is kind), None)


def _named(snapshot: Snapshot) -> list[Dependency]:
    found = (_find(snapshot, kind, name) for kind, name in references(snapshot.deployment))
    return [dependency for dependency in found if dependency is not None]


def _marks(snapshot: Snapshot) -> list[Action]:
    label = naming.consumer_label(snapshot.key)
    patches = (_mark(dependency, label) for dependency in _named(snapshot))
    return [patch for patch in patches if patch is not None]


def _mark(dependency: Dependency, label: str) -> Patch | None:
    """What is missing of label and finalizer. An object on its way out takes no new finalizer, nor a claim without."""
    metadata, because = dependency.metadata, "the DPUDeployment uses it"
    finalizers = metadata.finalizers or []
    is_protected, is_going = names.DPUDEPLOYMENT_FINALIZER in finalizers, metadata.deletionTimestamp is not None
    if is_going and not is_protected:
        return None
    missing: dict[str, Any] = {}
    if (metadata.labels or {}).get(label) != "":
        missing["labels"] = {label: ""}
    if not is_protected:
        missing["finalizers"] = [*finalizers, names.DPUDEPLOYMENT_FINALIZER]
    elif missing and not is_going:
        # A label collides with nobody's. If it had to meet the version that was seen, then of many DPUDeployments that
        # begin to use the same object all but one would be refused. Should its last user let go of the finalizer at
        # this very moment, the loss starts another pass.
        return Patch(kind=type(dependency), key=object_key(dependency), patch={"metadata": missing}, because=because)
    return _patch(dependency, missing, because=because) if missing else None


def _releases(snapshot: Snapshot) -> Iterable[Action]:
    """Lets go what carries the deployment's label and is not named any more."""
    named = {(type(dependency), object_key(dependency)) for dependency in _named(snapshot)}
    label = naming.consumer_label(snapshot.key)
    for dependency in snapshot.marked:
        if (type(dependency), object_key(dependency)) not in named:
            patch = _release(dependency, label, because="the DPUDeployment does not use it any more")
            if patch is not None:
                yield patch


def _release(dependency: Dependency, label: str, *, because: str) -> Patch | None:
    """Takes the label off, and the finalizer when nobody else's label is left."""
    users = set(consumer_labels(dependency))
    finalizers = dependency.metadata.finalizers or []
    changes: dict[str, Any] = {}
    if label in users:
        changes["labels"] = {label: None}
    if names.DPUDEPLOYMENT_FINALIZER in finalizers and not users - {label}:
        changes["finalizers"] = [f for f in finalizers if f != names.DPUDEPLOYMENT_FINALIZER] or None
    return _patch(dependency, changes, because=because) if changes else None


def _patch(dependency: Dependency, metadata: Mapping[str, Any], *, because: str) -> Patch:
    """Conditional on the version that was seen: finalizers are a list, and several DPUDeployments may write it."""
    version = {"resourceVersion": dependency.metadata.resourceVersion}
    return Patch(
        kind=type(dependency), key=object_key(dependency), patch={"metadata": {**version, **metadata}}, because=because
    )
