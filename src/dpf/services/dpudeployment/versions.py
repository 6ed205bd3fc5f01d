"""Do the charts accept the DOCA version of the software on the DPUs?

Pure. Called by the planner (step VERSIONS). Source: behaviour-service.md 6.3. A chart states a constraint in an
annotation, which the controller of DPUServiceTemplates copies into the template's status; one that states none fits
everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from dpf.api import names
from dpf.api.dpuservicetemplate import DPUServiceTemplate
from dpf.runtime.plan import Finding, Severity, Step
from dpf.services.dpudeployment.snapshot import Snapshot
from dpf.services.dpudeployment.steps import StepName
from dpf.services.versions import constraint, version


def plan_step(snapshot: Snapshot) -> Step:
    """One finding for each template whose constraint does not hold, or cannot be told to hold."""
    texts = dict.fromkeys(_problems(snapshot))
    return Step(
        name=StepName.VERSIONS, findings=tuple(Finding(severity=Severity.INVALID, message=text) for text in texts)
    )


def _problems(snapshot: Snapshot) -> Iterator[str]:
    source, given = _given(snapshot)
    for template in _templates(snapshot):
        wanted = (template.status.versions or {}).get(names.DOCA_VERSION_ANNOTATION)
        problem = _problem(template.metadata.name, wanted, source, given) if wanted else None
        if problem is not None:
            yield problem


def _problem(template: str, wanted: str, source: str, given: str | None) -> str | None:
    """Why `wanted`, a constraint found in `template`, does not hold for `given`; None when it does."""
    key = names.DOCA_VERSION_ANNOTATION
    about = f"version constraint for '{key}' found in DPUServiceTemplate '{template}'"
    if not given:
        return f"{about} cannot be checked: {source} has no version for '{key}'"
    try:
        offered = version.parse(given)
    except version.VersionError as error:
        return f"version '{given}' found in {source} is not parsable: {error}"
    try:
        accepted = constraint.parse(wanted)
    except constraint.ConstraintError as error:
        return f"version constraint '{wanted}' found in DPUServiceTemplate '{template}' is not parsable: {error}"
    return None if accepted.allows(offered) else f"{about} is not satisfied by the version '{given}' found in {source}"


def _given(snapshot: Snapshot) -> tuple[str, str | None]:
    """What is installed on the DPUs, in words, and its DOCA version."""
    if snapshot.bluefield_software is not None:
        versions = snapshot.bluefield_software.status.versions
        return "the given BlueFieldSoftware", versions.doca if versions else None
    found = snapshot.bfb.status.versions if snapshot.bfb is not None else None
    return "the given BFB", found.doca if found else None


def _templates(snapshot: Snapshot) -> Iterator[DPUServiceTemplate]:
    spec = snapshot.deployment.spec
    for _, service in sorted(spec.services.items()) if spec is not None else ():
        template = snapshot.templates.get(service.serviceTemplate)
        if template is not None:
            yield template
