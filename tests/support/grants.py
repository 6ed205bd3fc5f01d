"""Our controllers with exactly the rights that they declare, against a real API server."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
from tools.rbacgen import roles

from dpf.api import core
from dpf.api.meta import ObjectMeta
from dpf.kube.http import HTTPClient
from dpf.runtime.reconciler import Permission


async def grant(client: HTTPClient, name: str, namespace: str, permissions: Sequence[Permission]) -> bytes:
    """The kubeconfig of a ServiceAccount that may do what `permissions` and the runtime need, and nothing else.

    `client` is the administrator's; `name` is part of everything that is made.
    """
    us = ObjectMeta(name=f"dpf-{name}", namespace=namespace)
    await client.apply(core.ServiceAccount(metadata=us), field_owner="tests")
    for role in (*roles.host_roles(name, permissions), *roles.host_roles("runtime-tests", roles.RUNTIME_NEEDS)):
        await client.apply(role, field_owner="tests")
        meta = ObjectMeta(name=role.metadata.name, namespace=role.metadata.namespace)
        reference = core.RoleRef(apiGroup="rbac.authorization.k8s.io", kind=role.resource.kind, name=meta.name)
        binding = core.ClusterRoleBinding if isinstance(role, core.ClusterRole) else core.RoleBinding
        subject = core.Subject(kind="ServiceAccount", name=us.name, namespace=us.namespace)
        await client.apply(binding(metadata=meta, roleRef=reference, subjects=[subject]), field_owner="tests")
    given = await client.create_subresource(
        core.ServiceAccount, us.name, us.namespace, subresource="token", body=core.TokenRequest(metadata=ObjectMeta())
    )
    authority = base64.b64encode(client.endpoint.ca_pem or b"").decode()
    return msgspec.json.encode({
        "clusters": [{"name": "host", "cluster": {
            "server": client.endpoint.server, "certificate-authority-data": authority,
        }}],
        "users": [{"name": "us", "user": {"token": given.status.token}}],
    })
