"""Names and label values of what a DPUDeployment owns (behaviour-service.md 6.5; resolutions.md rows 43 and 44).

Pure. Called by the planners of this package, by `observe` (which names to look up) and by the controller of in-cluster
node labels. It only makes names; children are found by label and owner, never by name.

The first revision of a child has the plain name. A later disruptive one gets five characters appended. They look random
and are not: the same revision of the same deployment always gets the same ones, so that a pass that was cut short
repeats itself exactly.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from dpf.api import names
from dpf.api.meta import Key
from dpf.runtime import digest

NAME_LIMIT: Final = 63
SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH: Final = 5

_SERVICE_KEY: Final = re.compile(re.escape(names.DPUSERVICE_NODE_LABEL).replace(r"\{service\}", "(.+)"))

Taken = Callable[[str], bool]
"""Whether a name is in use or belongs to somebody else."""


def owner_value(deployment: Key) -> str:
    """Value of the label `svc.dpu.nvidia.com/owned-by-dpudeployment` on children and DPU nodes: `<ns>_<name>`."""
    return digest.fit(f"{deployment.namespace}_{deployment.name}", NAME_LIMIT)


def requestor(deployment: Key, value: str) -> str:
    """The word with which the revision whose node label has `value` holds up a DPUNodeMaintenance."""
    return f"{deployment.namespace}_{deployment.name}_{value}"


def service_name(deployment: str, service: str) -> str:
    """Plain name of a DPUService."""
    return _fit(f"{deployment}-{service}")


def interface_name(deployment: str, service: str, interface: str) -> str:
    """Plain name of a DPUServiceInterface."""
    return _fit(f"{deployment}-{service}-{interface}")


def chain_name(deployment: str) -> str:
    """Plain name of the DPUServiceChain."""
    return _fit(deployment)


def dpuset_name(deployment: str, name_suffix: str) -> str:
    """Plain name of a DPUSet."""
    return digest.fit(f"{deployment}-{name_suffix}", NAME_LIMIT)


def unique(plain: str, *seed: str, is_taken: Taken) -> str:
    """`plain` if nobody has it, else with a suffix. `seed`: see `suffixed`."""
    return plain if not is_taken(plain) else suffixed(plain, *seed, is_taken=is_taken)


def suffixed(plain: str, *seed: str, is_taken: Taken) -> str:
    """`<plain>-<five characters>`, the first that is free.

    `seed` is what tells this revision from every other: uid of the deployment, kind, service, digest.
    """
    return next(name for name in candidates(plain, *seed) if not is_taken(name))


def candidates(plain: str, *seed: str) -> Iterator[str]:
    """All suffixed names of a revision without end; at most 63 characters, of which the suffix stays whole."""
    stem = digest.fit(plain, NAME_LIMIT - SUFFIX_LENGTH - 1)
    return (f"{stem}-{_suffix(*seed, str(k))}" for k in count())


def service_id(deployment: str, service: str, revision: str | None = None) -> str:
    """`dpudeployment_<deployment>_<service>`, and `_<revision>` (a digest) for a later disruptive revision."""
    plain = f"dpudeployment_{deployment}_{service}"
    if revision is None:
        return digest.fit(plain, NAME_LIMIT)
    return f"{digest.fit(plain, NAME_LIMIT - len(revision) - 1)}_{revision}"


def is_service_id(value: str | None, deployment: str, service: str) -> bool:
    """Whether `value` could have been given to a revision of that service by `service_id`."""
    if value is None:
        return False
    stem, _, revision = value.rpartition("_")
    of_later = len(revision) == digest.LENGTH and value == service_id(deployment, service, revision)
    return value == service_id(deployment, service) or (bool(stem) and of_later)


def service_key(service: str) -> str:
    """Node label key of a service's revision in DPU clusters; its value is the name of the DPUService."""
    return names.DPUSERVICE_NODE_LABEL.format(service=service)


def in_cluster_key(deployment: Key, service: str) -> str:
    """Node label key of a service's revision in the host cluster; its value is the name of the DPUService."""
    owner = {"namespace": deployment.namespace, "name": deployment.name}
    return f"{names.IN_CLUSTER_NODE_LABEL_PREFIX}{digest.short(owner, service)}"


def service_of_key(key: str) -> str | None:
    """The service of which `key` is the `service_key`; None when it is none."""
    match = _SERVICE_KEY.fullmatch(key)
    return match.group(1) if match else None


def consumer_label(deployment: Key) -> str:
    """Label key on dependencies that the deployment uses; its value is empty (behaviour-service.md 6.2)."""
    owner = {"namespace": deployment.namespace, "name": deployment.name}
    return f"{names.CONSUMED_BY_DPUDEPLOYMENT_LABEL_PREFIX}{digest.short(owner)}"


def _fit(name: str) -> str:
    """A legal object name: what the user may write in other places (`_`, capitals) is not legal here."""
    return digest.fit(name.replace("_", "-").lower(), NAME_LIMIT)


def _suffix(*seed: str) -> str:
    number = int.from_bytes(hashlib.sha256(json.dumps(seed).encode()).digest()[:8], "big")
    letters = []
    for _ in range(SUFFIX_LENGTH):
        number, index = divmod(number, len(SUFFIX_ALPHABET))
        letters.append(SUFFIX_ALPHABET[index])
    return "".join(letters)
