"""What the spec of a DPUServiceCredentialRequest asks for, checked and with its defaults (behaviour-service.md 7).

Pure. Called by everything else of this kind. What cannot be followed is `Invalid`, with words for the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from dpf.api.dpuservicecredentialrequest import (
    DURATION_PATTERN,
    DPUServiceCredentialRequest,
    DPUServiceCredentialRequestSpec,
    NamespacedName,
    SecretType,
)
from dpf.api.meta import Key

DEFAULT_NAMESPACE: Final = "default"
SHORTEST_S: Final = 600
"""No API server gives a token for less."""
LONGEST_S: Final = 24 * 3600

_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE: Final = re.compile(_LABEL)
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAME_LIMIT: Final = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """Only a change of the spec can help; `why` says which."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A spec that can be followed. `target` None is the host cluster; `life_s` None leaves the life to the server."""

    account: Key
    target: Key | None
    secret: Key
    type: SecretType
    life_s: int | None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def read(request: DPUServiceCredentialRequest) -> Wanted | Invalid:
    """What `request` asks for."""
    spec = request.spec
    if spec is None:
        return Invalid(why="spec is missing; say which ServiceAccount, and which Secret to write")
    problem = next(_problems(spec), None)
    if problem is not None:
        return Invalid(why=problem)
    return Wanted(
        account=_key(spec.serviceAccount), target=_key(spec.targetCluster) if spec.targetCluster else None,
        secret=_key(spec.secret), type=SecretType(spec.type), life_s=_life_s(spec.duration),
        labels=(spec.metadata.labels if spec.metadata else None) or {},
        annotations=(spec.metadata.annotations if spec.metadata else None) or {},
    )


def _problems(spec: DPUServiceCredentialRequestSpec) -> Iterator[str]:
    named = {"serviceAccount": spec.serviceAccount, "secret": spec.secret, "targetCluster": spec.targetCluster}
    for field_name, reference in named.items():
        if reference is not None and not _can_exist(_key(reference)):
            yield f"spec.{field_name}: {_key(reference)} cannot be the namespace and name of an object; correct it"
    if spec.type not in tuple(SecretType):
        yield f"spec.type {spec.type!r} is not one of {', '.join(SecretType)}"
    if spec.duration and not re.fullmatch(DURATION_PATTERN, spec.duration):
        yield f"spec.duration {spec.duration!r} is not a duration; write for example 1h or 30m"
    elif spec.duration and _seconds(spec.duration) < SHORTEST_S:
        yield f"spec.duration {spec.duration} is shorter than 10m, the shortest life of a token; raise it"


def _key(reference: NamespacedName) -> Key:
    return Key(reference.namespace or DEFAULT_NAMESPACE, reference.name)


def _can_exist(key: Key) -> bool:
    fits = len(key.name) <= _NAME_LIMIT and _NAME.fullmatch(key.name)
    return bool(fits and _NAMESPACE.fullmatch(key.namespace))


def _life_s(duration: str | None) -> int | None:
    """Whole seconds, at most a day."""
    return int(min(_seconds(duration), LONGEST_S)) if duration else None


def _seconds(duration: str) -> float:
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(duration))
