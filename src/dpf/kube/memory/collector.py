"""What a controller manager does about deletion: empties namespaces, collects what lost its owners, keeps promises.

Called by `cluster` after each write, and repeated until there is nothing left to do: at a real cluster this happens in
the background a moment later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dpf.kube.memory import rules
from dpf.kube.memory.objects import Objects, Place, Record

_WAITS: Final = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
"""Finalizer by propagation policy."""


def delete(
    objects: Objects, place: Place, *, now: str, propagation: str = "Background", grace_s: int | None = None,
) -> None:
    """Delete as the API server does: at once, or by a mark while finalizers, content or a kubelet hold it.

    `now` is RFC 3339. An object that is marked already stays as it is, unless it is a pod that gets less time now.
    """
    record = objects.find(place)
    if record is None:
        return
    grace_s = rules.grace_period_s(place[0], record.tree, grace_s)
    if record.tree["metadata"].get("deletionTimestamp"):
        _hurry(objects, place, record, grace_s)
        return
    metadata = record.tree["metadata"]
    finalizers = [*(metadata.get("finalizers") or ()), *([_WAITS[propagation]] if propagation in _WAITS else [])]
    is_namespace = place[0] == rules.NAMESPACES
    if not finalizers and not is_namespace and not grace_s:
        objects.drop(place)
        return
    tree = rules.with_metadata(
        record.tree, deletionTimestamp=_later(now, grace_s), deletionGracePeriodSeconds=grace_s or None,
        finalizers=list(dict.fromkeys(finalizers)),
    )
    if "generation" in metadata:
        tree = rules.with_metadata(tree, generation=metadata["generation"] + 1)
    if is_namespace:
        tree = {**tree, "status": {**tree.get("status", {}), "phase": "Terminating"}}
    objects.store(place, Record(tree, record.owners))


def store(objects: Objects, place: Place, new: Record) -> Record:
    """Store, or drop an object that is being deleted and has lost its last finalizer.

    A namespace goes when it is empty as well, a pod when its kubelet says so.
    """
    metadata = new.tree["metadata"]
    held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds") or place[0] == rules.NAMESPACES
    if metadata.get("deletionTimestamp") and not held:
        return objects.drop(place, new)
    return objects.store(place, new)


def settle(objects: Objects, *, now: str) -> None:
    """Do everything that controllers would do until there is nothing left."""
    while objects.owners_changed or objects.terminating:
        before = objects.version
        objects.owners_changed = False
        _empty_namespaces(objects, now)
        _collect_garbage(objects, now)
        _keep_promises(objects, now)
        if objects.version == before:
            return


def _hurry(objects: Objects, place: Place, record: Record, grace_s: int) -> None:
    """A pod that is being deleted gets `grace_s` if that is less than it has; nothing left means that it goes."""
    if grace_s < record.tree["metadata"].get("deletionGracePeriodSeconds", 0):
        store(objects, place, Record(
            rules.with_metadata(record.tree, deletionGracePeriodSeconds=grace_s or None), record.owners
        ))


def _later(now: str, seconds: int) -> str:
    return (datetime.fromisoformat(now) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else now


def _empty_namespaces(objects: Objects, now: str) -> None:
    for family, key in sorted(objects.terminating):
        record = objects.find((family, key))
        if family != rules.NAMESPACES or record is None:
            continue
        for place in objects.in_namespace(key.name):
            delete(objects, place, now=now)
        if not objects.in_namespace(key.name) and not record.tree["metadata"].get("finalizers"):
            objects.drop((family, key))


def _collect_garbage(objects: Objects, now: str) -> None:
    """Objects whose owners are all gone. An owner in another namespace does not count: it cannot own across."""
    for uid in objects.owned():
        for place in objects.dependents_of(uid):
            if not _has_owner(objects, place):
                delete(objects, place, now=now)


def _has_owner(objects: Objects, place: Place) -> bool:
    record = objects.find(place)
    owners = [objects.place_of(uid) for uid in rules.owner_uids(record.tree if record else None)]
    return any(owner is not None and owner[1].namespace in {"", place[1].namespace} for owner in owners)


def _keep_promises(objects: Objects, now: str) -> None:
    """Foreground deletion waits for the dependents to go; orphaning waits for them to forget their owner."""
    for place in sorted(objects.terminating):
        record = objects.find(place)
        finalizers = record.tree["metadata"].get("finalizers") or () if record else ()
        waiting = [name for name in _WAITS.values() if name in finalizers]
        if record is None or not waiting:
            continue
        uid = record.tree["metadata"]["uid"]
        for dependent in objects.dependents_of(uid):
            if _WAITS["Orphan"] in waiting:
                _disown(objects, dependent, uid)
            else:
                delete(objects, dependent, now=now)
        if not objects.dependents_of(uid):
            left = [name for name in finalizers if name not in waiting]
            store(objects, place, Record(rules.with_metadata(record.tree, finalizers=left), record.owners))


def _disown(objects: Objects, place: Place, uid: str) -> None:
    record = objects.find(place)
    if record is not None:
        kept = [ref for ref in record.tree["metadata"]["ownerReferences"] if ref["uid"] != uid]
        objects.store(place, Record(rules.with_metadata(record.tree, ownerReferences=kept), record.owners))
