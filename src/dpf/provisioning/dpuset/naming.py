"""Names, label keys and digests that a DPUSet gives. Pure; called by the planners and by `watches`.

The name of a DPU follows from its DPUNode and DPUDevice alone, so that two passes, or two DPUSets, that want a DPU for
the same device ask for the same object, and the API server lets one of them make it.
Source: behaviour-provisioning.md section 3.1.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dpf.api import names
from dpf.api.dpuset import DPUTemplate
from dpf.runtime import digest

NAME_LIMIT: Final = 253
LABEL_VALUE_LIMIT: Final = 63
_LABEL_NAME_LIMIT: Final = 63
_COLLISION_PREFIX_LENGTH: Final = len(names.COLLISION_DPUSET_LABEL_PREFIX.partition("/")[2])


def dpu_name(node: str, device: str) -> str:
    """`<node>-<device>`, at most 253 characters: what is too long of the node is replaced by a digest of its name."""
    name = f"{node}-{device}"
    if len(name) <= NAME_LIMIT:
        return name
    room = NAME_LIMIT - len(device) - 1
    return f"{digest.fit(node, room)}-{device}" if room > digest.LENGTH + 1 else digest.fit(name, NAME_LIMIT)


def label_value(name: str) -> str:
    """`name` as the value of a label; names that the API admits are short enough as they are."""
    return digest.fit(name, LABEL_VALUE_LIMIT)


def collision_label(dpuset: str) -> str:
    """Key of the label that a DPUSet puts on another's DPU whose device it wants as well."""
    return f"{names.COLLISION_DPUSET_LABEL_PREFIX}{digest.fit(dpuset, _LABEL_NAME_LIMIT - _COLLISION_PREFIX_LENGTH)}"


def template_hash(template: DPUTemplate) -> str:
    """Ten digits that change when the template says something else; not with the order of keys, nor with defaults."""
    return digest.short(msgspec.to_builtins(template))
