"""The Job that runs a reboot script, and what it came to. Pure. Source: behaviour-provisioning.md section 7."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dpf.api import names
from dpf.api.dpunode import DPUNode
from dpf.api.meta import Key, ObjectMeta, OwnerReference, object_key
from dpf.api.provisioning import RebootMethod
from dpf.api.upkeep import Job
from dpf.provisioning.dpunode.snapshot import Snapshot

BACKOFF_LIMIT: Final = 3
TTL_S: Final = 3600
_INFO: Final = "dpf-pod-info"
_CONTROL_PLANE: Final = {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}


def script_of(dpunode: DPUNode) -> str | None:
    """The ConfigMap with the script, for a host that is rebooted by one."""
    script = dpunode.spec.nodeRebootMethod.script if dpunode.spec is not None else None
    return script.name if script is not None else None


def script_key(snapshot: Snapshot) -> Key:
    """The ConfigMap with the script."""
    return Key(snapshot.key.namespace, script_of(snapshot.dpunode) or "")


def job_key(snapshot: Snapshot) -> Key:
    """One Job per DPUNode."""
    return Key(snapshot.key.namespace, f"{snapshot.key.name}-script-job")


def has_ended(job: Job, type_: str | None = None) -> bool:
    """Whether it is Complete or Failed, or just the one that is asked for."""
    ended = {c.type for c in job.status.conditions or () if c.status == "True" and c.type in ("Complete", "Failed")}
    return bool(ended) if type_ is None else type_ in ended


def failure(snapshot: Snapshot, job: Job) -> str:
    """What went wrong, and what to do."""
    code = f" with exit code {snapshot.exit_code}" if snapshot.exit_code is not None else ""
    return f"Job {object_key(job)} failed{code}. Next step: correct the script and delete the Job"


def build(
    snapshot: Snapshot, template: Mapping[str, Any], method: RebootMethod, per_dpu: Mapping[str, RebootMethod]
) -> Job:
    """The script's pod with what it has to know."""
    methods = json.dumps({name: str(wanted) for name, wanted in sorted(per_dpu.items())}, separators=(",", ":"))
    env = {
        "DPUNODE_NAME": snapshot.key.name, "DPUNODE_REBOOT_METHOD": str(method),
        "DPUNODE_REBOOT_METHODS_PER_DPU": methods,
    }
    marks = {names.REBOOT_METHOD_AGGREGATED_ANNOTATION: str(method), names.REBOOT_METHODS_PER_DPU_ANNOTATION: methods}
    owner = OwnerReference(
        apiVersion=DPUNode.resource.api_version, kind=DPUNode.resource.kind, name=snapshot.key.name,
        uid=snapshot.dpunode.metadata.uid or "", controller=True,
    )
    key = job_key(snapshot)
    return Job(
        metadata=ObjectMeta(
            name=key.name, namespace=key.namespace, labels={names.DPUNODE_NAME_LABEL: snapshot.key.name},
            ownerReferences=[owner],
        ),
        spec={
            "backoffLimit": BACKOFF_LIMIT, "ttlSecondsAfterFinished": TTL_S,
            "template": {"metadata": _metadata(snapshot, template, marks), "spec": _spec(template["spec"], env)},
        },
    )


def _metadata(snapshot: Snapshot, template: Mapping[str, Any], marks: Mapping[str, str]) -> dict[str, Any]:
    """Labels and annotations of the Node reach the script through those of its pod."""
    node = snapshot.node.metadata if snapshot.node is not None else snapshot.dpunode.metadata
    own = template.get("metadata") or {}
    return {
        "labels": {**(node.labels or {}), **own.get("labels", {})},
        "annotations": {**(node.annotations or {}), **own.get("annotations", {}), **marks},
    }


def _spec(spec: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    fields = [{"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}} for name in ("labels", "annotations")]
    return {
        **spec,
        "containers": [_container(c, env) if isinstance(c, dict) else c for c in spec["containers"]],
        "tolerations": [*_list(spec.get("tolerations")), _CONTROL_PLANE],
        "volumes": [*_list(spec.get("volumes")), {"name": _INFO, "downwardAPI": {"items": fields}}],
    }


def _container(container: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    kept = [e for e in _list(container.get("env")) if not (isinstance(e, dict) and e.get("name") in env)]
    mount = {"name": _INFO, "mountPath": f"/etc/{_INFO}", "readOnly": True}
    return {
        **container, "env": [*kept, *({"name": name, "value": value} for name, value in env.items())],
        "volumeMounts": [*_list(container.get("volumeMounts")), mount],
    }


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - any YAML
    return value if isinstance(value, list) else []
