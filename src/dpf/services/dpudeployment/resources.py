"""Do all services fit into what the flavor leaves for them?

Pure. Called by the planner (step RESOURCES). Source: behaviour-service.md 6.4. What a DPUServiceConfiguration says
about resources does not count: a template says what the service needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dpf.api.meta import Object, object_key
from dpf.kube import quantities
from dpf.runtime.plan import Finding, Severity, Step
from dpf.services.dpudeployment.snapshot import Snapshot
from dpf.services.dpudeployment.steps import StepName

RESERVED_EXCEED_TOTAL: Final = (
    "can't calculate available DPU resources: error while calculating allocatable resources, reserved resources don't"
    " fit in total resources"
)
# The second space is part of the documented text.
TOO_LITTLE: Final = (
    "there are not enough resources for DPUServices to fit in this DPUDeployment:  Additional resources needed: [{}]"
)

Amounts = Mapping[str, quantities.Quantity]


def plan_step(snapshot: Snapshot) -> Step:
    """One finding when the services do not fit, or nobody can tell."""
    text = problem(snapshot)
    findings = (Finding(severity=Severity.INVALID, message=text),) if text is not None else ()
    return Step(name=StepName.RESOURCES, findings=findings)


def problem(snapshot: Snapshot) -> str | None:
    """Why the services do not fit; None when they do. Without a total in the flavor everything fits."""
    flavor = snapshot.flavor or snapshot.flavor_template
    spec = flavor.spec if flavor is not None else None
    if flavor is None or spec is None or not spec.dpuResources:
        return None
    try:
        total = _amounts(flavor, "dpuResources", spec.dpuResources)
        reserved = _amounts(flavor, "systemReservedResources", spec.systemReservedResources)
        needed = _needed(snapshot)
    except quantities.QuantityError as error:
        return str(error)
    available = _difference(total, reserved)
    if _below_zero(available):
        return RESERVED_EXCEED_TOTAL
    missing = _below_zero(_difference(available, needed))
    texts = [f"{name}: {quantities.canonical(-amount)}" for name, amount in sorted(missing.items())]
    return TOO_LITTLE.format(", ".join(texts)) if texts else None


def _needed(snapshot: Snapshot) -> Amounts:
    """The sum over all templates, by resource. Raises QuantityError."""
    spec = snapshot.deployment.spec
    total: dict[str, quantities.Quantity] = {}
    for _, service in sorted(spec.services.items()) if spec is not None else ():
        template = snapshot.templates.get(service.serviceTemplate)
        if template is None or template.spec is None:
            continue
        for name, amount in _amounts(template, "resourceRequirements", template.spec.resourceRequirements).items():
            total[name] = total.get(name, quantities.ZERO) + amount
    return total


def _amounts(obj: Object, field: str, resources: Mapping[str, int | str] | None) -> Amounts:
    """Raises QuantityError, with the object and the field in its text."""
    found: dict[str, quantities.Quantity] = {}
    for name, value in (resources or {}).items():
        try:
            found[name] = quantities.parse(value)
        except quantities.QuantityError as error:
            where = f"{type(obj).resource.kind} {object_key(obj)}: spec.{field}.{name}"
            raise quantities.QuantityError(f"{where}: {error}") from None
    return found


def _difference(left: Amounts, right: Amounts) -> Amounts:
    """`left - right` by resource; what one side does not name counts as nothing."""
    zero = quantities.ZERO
    return {name: left.get(name, zero) - right.get(name, zero) for name in {**left, **right}}


def _below_zero(amounts: Amounts) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount.nano < 0}
