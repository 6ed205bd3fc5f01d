"""Every fact that a decision about one DPUServiceCredentialRequest needs, as plain values.

Pure. Filled by `observe`, read by `plan`, `status` and the modules beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpf.api import core
from dpf.api.dpuservicecredentialrequest import DPUServiceCredentialRequest
from dpf.api.meta import Key, object_key
from dpf.runtime.plan import HOST, ClusterKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Something cannot be asked or used now, which is not the same as absent. `why` is for the user.

    `passing`: one answer failed, and no watch tells when the next would not.
    """

    why: str
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """Nobody knows yet whether the cluster answers: a process that starts has to find out, in seconds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The DPUCluster does not exist, or another one has its name: whatever was made in it is gone with it."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the API server of a cluster is, for whoever uses the credential. `ca_data` is base64 of PEM, or empty.

    `cluster_name` is the name of the cluster in a kubeconfig.
    """

    cluster_name: str
    server: str
    ca_data: str = ""
    insecure: bool = False
    tls_server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One cluster, and the ServiceAccount by the name in question in it (None: there is none).

    `uid` is that of the DPUCluster, empty for the host. `endpoint` is None where nobody asked for it.
    """

    cluster: ClusterKey
    uid: str
    name: Key
    account: core.ServiceAccount | Connecting | Unusable | Gone | None
    endpoint: Endpoint | Unusable | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return "the host cluster" if self.cluster == HOST else f"DPU cluster {self.cluster}"

    @property
    def problem(self) -> str | None:
        """Why nothing can be made or removed there now; None when it can be."""
        for part in (self.account, self.endpoint):
            if isinstance(part, Unusable | Gone):
                return self.trouble(part.why)
        return None

    def trouble(self, why: str) -> str:
        """`why` in the documented words (behaviour-service.md section 7)."""
        return why if self.cluster == HOST else f"error while getting DPU cluster {self.cluster.name}: {why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at the world around `request`.

    `target` is where the spec wants the ServiceAccount; None when the spec cannot be followed. `recorded` is where the
    status says that one was made, when that is not the same; None otherwise. `secret` has the name that the spec wants,
    whoever it belongs to; `others` are further Secrets that belong to the request.
    """

    request: DPUServiceCredentialRequest
    target: Place | None = None
    recorded: Place | None = None
    secret: core.Secret | None = None
    others: tuple[core.Secret, ...] = ()

    @property
    def key(self) -> Key:
        """Namespace and name of the request."""
        return object_key(self.request)

