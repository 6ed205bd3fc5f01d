"""DPUServiceCredentialRequests on the local platform: kubectl works with what they hand out.

behaviour-service.md section 7 and 13.43-45.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.e2e.test_dpuservice import CLUSTER
from tests.support import tenants
from tests.support.platform import Platform, run
from tests.support.tenants import Manifest, Tenant

from dpf.api import core
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.names import DPF_NAMESPACE
from dpf.local.platform import up

TOKEN = re.compile(r"eyJ[\w-]{20,}\.[\w-]+\.[\w-]+")
"""What a ServiceAccount's token looks like."""


TOKEN_FILE_KEYS = ["KUBERNETES_CA_DATA", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "TOKEN_FILE"]
NAMES = ("far", "near", "files")


async def test_credentials_are_used_renewed_and_taken_back(platform: Platform, tmp_path: Path) -> None:
    """A kubeconfig for the DPU cluster, one for the host, and token files: kubectl is somebody with each of them."""
    async with tenants.tenant(platform, "credentials") as mine:
        platform.kubectl("create", "namespace", mine.namespace, dpu=True)
        platform.apply(
            request(mine, "far", "kubeconfig", CLUSTER), request(mine, "near", "kubeconfig"),
            request(mine, "files", "tokenFile", CLUSTER),
        )
        data = {name: await until_made(mine, name) for name in NAMES}
        assert clusters(data["near"]) == ["incluster"]
        callers = {name: caller(tmp_path / name, data[name]) for name in NAMES}
        for name, arguments in callers.items():
            assert who(platform, arguments) == f"system:serviceaccount:{mine.namespace}:{name}"
        see_what_may_be_done(mine, callers["far"])
        await see_that_it_is_renewed(mine, data["far"])
        await see_that_it_is_put_back(mine)
        see_no_token(mine)
        await mine.delete("dpuservicecredentialrequests", "--all")
        left = [*await mine.all(core.Secret), *await mine.all(core.ServiceAccount)]
        left += (await mine.dpu.list(core.ServiceAccount, mine.namespace)).items
        assert {obj.metadata.name for obj in left} == {"default"}


def see_what_may_be_done(tenant: Tenant, arguments: Sequence[str]) -> None:
    """Nothing, until whoever installs the service has granted it; then kubectl does it."""
    command = [tenant.platform.environment["KUBECTL"], *arguments, "get", "serviceaccounts", "-n", tenant.namespace]
    assert "forbidden" in run(command, check=False).stderr
    tenant.kubectl(
        "create", "rolebinding", "far", "--clusterrole=view", f"--serviceaccount={tenant.namespace}:far", dpu=True
    )
    assert "files" in run(command).stdout


async def see_that_it_is_renewed(tenant: Tenant, before: Mapping[str, str]) -> None:
    """A status that says another time than the Secret: nobody knows how old the token is, so there is a new one."""
    times = {"issuedAt": "2026-01-01T00:00:00Z", "expirationTimestamp": "2026-01-01T01:00:00Z"}
    tenant.kubectl(
        "patch", "dpuservicecredentialrequest", "far", "--subresource=status", "--type=merge", "-p",
        json.dumps({"status": times}),
    )
    await tenant.until(core.Secret, "far", lambda secret: decoded(secret) != before)
    await tenant.until(
        DPUServiceCredentialRequest, "far", lambda found: tenants.is_ready(found) and found.status.issuedAt
        not in {None, times["issuedAt"]},
    )


async def see_that_it_is_put_back(tenant: Tenant) -> None:
    """A Secret that was deleted by hand comes back, with data in it (race 12 of behaviour-service.md section 11)."""
    old = await tenant.host.get(core.Secret, "files", tenant.namespace)
    tenant.kubectl("delete", "secret", "files")
    new = await tenant.until(core.Secret, "files", lambda secret: secret.metadata.uid != old.metadata.uid)
    assert all(decoded(new).values())
    assert decoded(new).keys() == decoded(old).keys()


def see_no_token(tenant: Tenant) -> None:
    """Neither in what our process wrote to its log, nor in Events, nor in the requests."""
    log = (tenant.platform.state / "logs" / f"{up.CONTROLLERS}.log").read_text()
    shown = tenant.kubectl("get", "events,dpuservicecredentialrequests", "-o", "yaml")
    assert "far" in shown
    assert not TOKEN.search(log + shown)


def request(tenant: Tenant, name: str, layout: str, target: str | None = None) -> Manifest:
    """A request whose ServiceAccount and Secret have its name."""
    place = {"name": name, "namespace": tenant.namespace}
    spec: dict[str, Any] = {"type": layout, "duration": "1h", "serviceAccount": place, "secret": place}
    if target is not None:
        spec["targetCluster"] = {"name": target, "namespace": DPF_NAMESPACE}
    return {
        "apiVersion": "svc.dpu.nvidia.com/v1alpha1", "kind": "DPUServiceCredentialRequest", "metadata": place,
        "spec": spec,
    }


async def until_made(tenant: Tenant, name: str) -> dict[str, str]:
    """What the Secret of a request holds, once the request is Ready."""
    await tenant.until(DPUServiceCredentialRequest, name, tenants.is_ready)
    return decoded(await tenant.host.get(core.Secret, name, tenant.namespace))


def decoded(secret: core.Secret) -> dict[str, str]:
    """Its data as text."""
    return {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}


def clusters(data: Mapping[str, str]) -> list[str]:
    """Names of the clusters in a kubeconfig."""
    return [cluster["name"] for cluster in yaml.safe_load(data["kubeconfig"])["clusters"]]


def caller(folder: Path, data: Mapping[str, str]) -> list[str]:
    """Arguments with which kubectl uses a Secret, whichever layout it has."""
    folder.mkdir()
    if list(data) == ["kubeconfig"]:
        (folder / "kubeconfig").write_text(data["kubeconfig"])
        return ["--kubeconfig", str(folder / "kubeconfig")]
    assert sorted(data) == TOKEN_FILE_KEYS
    (folder / "ca.crt").write_text(data["KUBERNETES_CA_DATA"])
    server = f"https://{data['KUBERNETES_SERVICE_HOST']}:{data['KUBERNETES_SERVICE_PORT']}"
    return [
        "--kubeconfig", "/dev/null", "--server", server, "--certificate-authority", str(folder / "ca.crt"),
        "--token", data["TOKEN_FILE"],
    ]


def who(platform: Platform, arguments: Sequence[str]) -> str:
    """Whom the API server takes the caller for."""
    answer = run([platform.environment["KUBECTL"], *arguments, "auth", "whoami", "-o", "json"]).stdout
    return str(json.loads(answer)["status"]["userInfo"]["username"])
