"""Where a request goes: URL paths built from a kind, a namespace and a name, and refused when they would mean another.

Pure. Both client implementations call it first, so that a name which came from a user's object can neither address
another object nor, when empty, a whole collection (a DELETE there would delete everything).
"""

from __future__ import annotations

from urllib.parse import quote

from dpf.api.meta import Key, Object
from dpf.kube import errors


def collection(kind: type[Object], namespace: str | None) -> str:
    """Path of the objects of `kind` in `namespace`, or in all namespaces when it is None. Raises BadRequest."""
    return kind.resource.path(_namespace(kind, namespace))


def home(obj: Object) -> str:
    """Path to which a new `obj` is posted. Raises BadRequest when a namespaced object names no namespace."""
    kind, namespace = type(obj), obj.metadata.namespace
    _require_namespace(kind, namespace, obj.metadata.name or f"{obj.metadata.generateName}*")
    return collection(kind, namespace)


def single(kind: type[Object], name: str, namespace: str | None, subresource: str | None = None) -> str:
    """Path of exactly one object. Raises BadRequest for a name or namespace that cannot name one."""
    if not name or name in {".", ".."} or "/" in name or "%" in name:
        raise errors.BadRequest(f"{kind.resource.kind}: {name!r} is not an object name")
    _require_namespace(kind, namespace, name)
    return kind.resource.path(_namespace(kind, namespace), quote(name, safe=""), subresource)


def key(kind: type[Object], name: str, namespace: str | None) -> Key:
    """Identity in our caches: a cluster-scoped object has the empty namespace."""
    return Key((namespace or "") if kind.resource.namespaced else "", name)


def _require_namespace(kind: type[Object], namespace: str | None, name: str) -> None:
    if kind.resource.namespaced and not namespace:
        raise errors.BadRequest(f"{kind.resource.kind} {name}: a namespace is needed")


def _namespace(kind: type[Object], namespace: str | None) -> str | None:
    if namespace is None or not kind.resource.namespaced:
        return None
    if not namespace or namespace in {".", ".."} or "/" in namespace or "%" in namespace:
        raise errors.BadRequest(f"{kind.resource.kind}: {namespace!r} is not a namespace name")
    return quote(namespace, safe="")
