"""Which effect a NodeEffect asks for, and the name of the DPUNodeMaintenance that stands for it on one DPUNode.

Pure. Called by this controller and by whoever asks for an effect: DPUs of one node that want the same thing come to
the same name, and so share one object. Sources: behaviour-provisioning.md section 6, resolutions.md rows 3, 12 and 23.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Final

import msgspec

from dpf.api.provisioning import NodeEffect

NAME_LIMIT: Final = 63
_DIGEST: Final = 8


class Effect(StrEnum):
    """What happens to the host; the values are the fields of a NodeEffect."""

    NO_EFFECT = "noEffect"
    TAINT = "taint"
    DRAIN = "drain"
    CUSTOM_LABEL = "customLabel"
    CUSTOM_ACTION = "customAction"
    HOLD = "hold"


NEED_NODE: Final = frozenset({Effect.TAINT, Effect.DRAIN, Effect.CUSTOM_LABEL})
"""Effects on a Node of the host cluster; there are none of them for a host that is no Node."""


def effect_of(wanted: NodeEffect | None, *, in_kubernetes: bool) -> Effect:
    """The effect that is named, by presence; drain where none is, or hold for a host that is no Node (row 3)."""
    named = (effect for effect in Effect if wanted is not None and getattr(wanted, effect) is not None)
    return next(named, Effect.DRAIN if in_kubernetes else Effect.HOLD)


def refusal(effect: Effect, *, in_kubernetes: bool) -> str | None:
    """Why a host cannot have this effect."""
    if in_kubernetes or effect not in NEED_NODE:
        return None
    return f"node effect ({effect}) is not supported for non k8s environment"


def maintenance_name(dpunode: str, wanted: NodeEffect | None, *, in_kubernetes: bool) -> str:
    """`<dpunode>-k8sdrain`, `-hold`, `-custom-action-<configmap>`, `-taint-<8 hex>`, `-label-<8 hex>`, `-no-effect`."""
    return fit(f"{dpunode}-{_suffix(wanted, effect_of(wanted, in_kubernetes=in_kubernetes))}", NAME_LIMIT)


def fit(name: str, limit: int) -> str:
    """`name` if it has at most `limit` characters, else its beginning and its digest."""
    if len(name) <= limit:
        return name
    return f"{name[:limit - _DIGEST - 1].rstrip('-.')}-{_digest(name)}"


def _suffix(wanted: NodeEffect | None, effect: Effect) -> str:
    match effect:
        case Effect.DRAIN:
            return "k8sdrain"
        case Effect.NO_EFFECT:
            return "no-effect"
        case Effect.CUSTOM_ACTION:
            return f"custom-action-{wanted.customAction if wanted is not None else ''}"
        case Effect.TAINT:
            return f"taint-{_digest(msgspec.to_builtins(wanted.taint) if wanted is not None else None)}"
        case Effect.CUSTOM_LABEL:
            return f"label-{_digest(wanted.customLabel if wanted is not None else None)}"
        case Effect.HOLD:
            return "hold"


def _digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
