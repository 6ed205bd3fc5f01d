"""What triggers a pass over a BFB beside itself, and how its users and rivals are found in the cache.

Called by the controller and `observe`. Users are the DPUSets and DPUs that name it; rivals are the BFBs of any
namespace that want the same file name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from dpf.api.bfb import BFB
from dpf.api.dpu import DPU
from dpf.api.dpuset import DPUSet
from dpf.api.meta import Key, Object, object_key
from dpf.provisioning.bfb import naming
from dpf.runtime.reconciler import Watch

BY_BFB: Final = "bfb"
BY_FILE: Final = "bfb-file"


def build(named: Callable[[str], Iterable[BFB]]) -> list[Watch]:
    """All watches. `named` gives the BFBs that want a file name."""

    def rivals_of(old: BFB | None, new: BFB | None) -> Iterable[Key]:
        """The runtime follows the BFB itself; this is for the others, when a name is taken or let go."""
        if _claim(old) == _claim(new):
            return
        me = object_key(new or old or BFB())
        for name in {naming.file_name(bfb) for bfb in (old, new) if bfb is not None}:
            yield from (key for bfb in named(name) if (key := object_key(bfb)) != me)

    return [
        Watch(kind=BFB, maps=rivals_of, indexes={BY_FILE: lambda bfb: (naming.file_name(bfb),)}),
        Watch(kind=DPUSet, maps=_referred(bfb_of_dpuset), indexes={BY_BFB: _values(bfb_of_dpuset)}),
        Watch(kind=DPU, maps=_referred(bfb_of_dpu), indexes={BY_BFB: _values(bfb_of_dpu)}),
    ]


def bfb_of_dpuset(dpuset: DPUSet) -> Key | None:
    """The BFB that a DPUSet names."""
    bfb = dpuset.spec.dpuTemplate.spec.bfb if dpuset.spec is not None else None
    return Key(dpuset.metadata.namespace or "", bfb.name) if bfb is not None and bfb.name else None


def bfb_of_dpu(dpu: DPU) -> Key | None:
    """The BFB that a DPU names."""
    name = dpu.spec.bfb if dpu.spec is not None else None
    return Key(dpu.metadata.namespace or "", name) if name else None


def _referred(find: Callable[[Any], Key | None]) -> Callable[[Object | None, Object | None], Iterable[Key]]:
    """A BFB is looked at when a user comes or goes, and not whenever one of them changes."""

    def maps(old: Object | None, new: Object | None) -> Iterable[Key]:
        before, after = (find(obj) if obj is not None else None for obj in (old, new))
        return [key for key in (before, after) if key is not None] if before != after else []

    return maps


def _values(find: Callable[[Any], Key | None]) -> Callable[[Any], Iterable[str]]:
    def values(obj: Object) -> Iterable[str]:
        key = find(obj)
        return (str(key),) if key is not None else ()

    return values


def _claim(bfb: BFB | None) -> object:
    """What of a BFB concerns its rivals."""
    return None if bfb is None else (naming.file_name(bfb), naming.holds_name(bfb))
