"""What triggers a pass over a DPUServiceTemplate beside itself: a change of credentials, or of where they lie.

Called by the controller. Only templates whose chart could not be read are looked at again: the others have what they
need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from dpf.api.argocd import SECRET_TYPE_LABEL
from dpf.api.core import Secret
from dpf.api.dpfoperatorconfig import DPFOperatorConfig
from dpf.api.dpuservicetemplate import ConditionType, DPUServiceTemplate
from dpf.api.meta import Key, Object
from dpf.runtime import conditions
from dpf.runtime.reconciler import Watch
from dpf.services.dpuservice import watches
from dpf.services.helm import credentials

UNREAD: Final = "dpuservicetemplate-unread"


def build(unread: Callable[[], Iterable[Key]]) -> list[Watch]:
    """All watches. `unread` names the templates of the index `UNREAD`."""

    def of_secret(old: Secret | None, new: Secret | None) -> Iterable[Key]:
        return unread() if _repository_facts(old) != _repository_facts(new) else ()

    def of_config(old: DPFOperatorConfig | None, new: DPFOperatorConfig | None) -> Iterable[Key]:
        return unread() if watches.argocd_namespace(old) != watches.argocd_namespace(new) else ()

    return [
        Watch(kind=DPUServiceTemplate, maps=_nobody, indexes={UNREAD: _unread}),
        Watch(kind=Secret, maps=of_secret, labels=credentials.REPOSITORY_SELECTOR),
        Watch(kind=DPFOperatorConfig, maps=of_config),
    ]


def _nobody(old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG001 - the contract of mappings
    """The runtime follows the root kind itself; this watch only declares the index."""
    return ()


def _unread(template: DPUServiceTemplate) -> Iterable[str]:
    read = conditions.is_true(template.status.conditions, ConditionType.DPU_SERVICE_TEMPLATE_RECONCILED)
    return () if read else ("",)


def _repository_facts(secret: Secret | None) -> object:
    """What counts of a repository Secret; None for any other, because the cache may hold them all."""
    if secret is None or (secret.metadata.labels or {}).get(SECRET_TYPE_LABEL) != "repository":
        return None
    return secret.metadata.namespace, secret.data
