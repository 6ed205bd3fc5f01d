"""Kubeconfigs: read, checked, and turned into a `Connection` that a client can be built on.

Called by programs at start (`load`), by the cluster registry (`from_secret`) and by services that hand a DPU cluster's
identity on (`parse`, `single_identity`). It opens no connection.

A kubeconfig that came out of an API object is not trusted: it may not run a program and may not name a file, because
both would happen with *our* rights (a token file would be sent to whatever server the object names).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from dpf.kube import credentials, errors, untrustedyaml
from dpf.kube.client import Endpoint

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")


class ClusterEntry(msgspec.Struct, kw_only=True):
    """`cluster` of a kubeconfig: where the API server is and how it proves itself."""

    server: str = ""
    ca_data: str = msgspec.field(name="certificate-authority-data", default="")
    ca_file: str = msgspec.field(name="certificate-authority", default="")
    insecure: bool = msgspec.field(name="insecure-skip-tls-verify", default=False)
    tls_server_name: str = msgspec.field(name="tls-server-name", default="")
    proxy_url: str = msgspec.field(name="proxy-url", default="")


class ExecVariable(msgspec.Struct):
    """One environment variable of an exec plugin."""

    name: str
    value: str = ""

    def __repr__(self) -> str:
        """Without the value."""
        return f"ExecVariable({self.name})"


class ExecEntry(msgspec.Struct, rename="camel", kw_only=True):
    """`exec` of a user."""

    command: str = ""
    args: list[str] | None = None
    env: list[ExecVariable] | None = None
    api_version: str = ""
    install_hint: str = ""
    interactive_mode: str = "IfAvailable"
    provide_cluster_info: bool = False

    def __repr__(self) -> str:
        """Without arguments: they may hold secrets."""
        return f"ExecEntry({self.command})"


class UserEntry(msgspec.Struct, kw_only=True):
    """`user` of a kubeconfig: how we prove ourselves."""

    cert_data: str = msgspec.field(name="client-certificate-data", default="")
    key_data: str = msgspec.field(name="client-key-data", default="")
    cert_file: str = msgspec.field(name="client-certificate", default="")
    key_file: str = msgspec.field(name="client-key", default="")
    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    username: str = ""
    password: str = ""
    exec_plugin: ExecEntry | None = msgspec.field(name="exec", default=None)
    auth_provider: Any = msgspec.field(name="auth-provider", default=None)
    impersonate: str = msgspec.field(name="as", default="")

    def __repr__(self) -> str:
        """Without any value."""
        return "UserEntry(...)"


class NamedCluster(msgspec.Struct):
    """An entry of `clusters`."""

    name: str
    cluster: ClusterEntry


class NamedUser(msgspec.Struct):
    """An entry of `users`."""

    name: str
    user: UserEntry = msgspec.field(default_factory=UserEntry)


class ContextEntry(msgspec.Struct):
    """`context` of a kubeconfig."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


class NamedContext(msgspec.Struct):
    """An entry of `contexts`."""

    name: str
    context: ContextEntry


class _Document(msgspec.Struct):
    clusters: list[NamedCluster] | None = None
    users: list[NamedUser] | None = None
    contexts: list[NamedContext] | None = None
    current_context: str = msgspec.field(name="current-context", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """A parsed kubeconfig. `source` names it in messages; relative paths are relative to `folder`."""

    source: str
    clusters: tuple[NamedCluster, ...] = ()
    users: tuple[NamedUser, ...] = ()
    contexts: tuple[NamedContext, ...] = ()
    current_context: str = ""
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The one server and the one user of a kubeconfig, as they are written there: `*_data` is base64 of PEM."""

    server: str
    ca_data: str = ""
    cert_data: str = field(default="", repr=False)
    key_data: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    insecure: bool = False
    tls_server_name: str = ""
    cluster_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach one API server. `server` is an URL without a trailing slash.

    `trust` tells others how the server proves itself; our own requests use what `credentials` made of it.
    """

    server: str
    trust: credentials.Trust = field(default_factory=credentials.Trust)
    credentials: credentials.Credentials = field(repr=False)
    tls_server_name: str | None = None
    namespace: str = "default"

    @property
    def endpoint(self) -> Endpoint:
        """The server without our credentials, for another program that has its own."""
        return Endpoint(
            server=self.server, ca_pem=self.trust.ca_pem, insecure=self.trust.insecure,
            tls_server_name=self.tls_server_name or "",
        )


def load(path: str | Path | None = None, *, context: str | None = None) -> Connection:
    """The connection of this program: `path`, else $KUBECONFIG, else in-cluster, else ~/.kube/config.

    Raises CredentialsError.
    """
    if path is not None:
        return connection(_merge(str(path)), context=context)
    listed = os.environ.get("KUBECONFIG")
    if listed:
        return connection(_merge(listed), context=context)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").exists():
        return in_cluster()
    return connection(_merge(str(Path.home() / ".kube" / "config")), context=context)


def from_secret(raw: bytes, *, source: str) -> Connection:
    """The connection of an untrusted kubeconfig: only data inside it is used. `source` names it in messages.

    Raises CredentialsError.
    """
    return connection(parse(raw, source=source), trusted=False)


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> Connection:
    """The connection of a pod by its ServiceAccount; the token is read again when the kubelet rotates it."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise errors.CredentialsError("not in a cluster: KUBERNETES_SERVICE_HOST is not set; give a kubeconfig")
    trust = credentials.Trust(ca_pem=credentials.read_file(folder / "ca.crt"))
    namespace = folder / "namespace"
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        credentials=credentials.Files(trust, token=folder / "token"),
        namespace=credentials.read_file(namespace).decode().strip() if namespace.exists() else "default",
        trust=trust,
    )


def parse(raw: bytes | str | Mapping[str, Any], *, source: str, folder: Path | None = None) -> Kubeconfig:
    """Clusters, users and contexts of a kubeconfig in YAML or JSON. Raises CredentialsError, which never quotes it."""
    document = raw if isinstance(raw, Mapping) else _load_yaml(raw, source)
    try:
        parsed = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise errors.CredentialsError(f"{source}: not a kubeconfig: {error}") from None
    return Kubeconfig(
        source=source, clusters=tuple(parsed.clusters or ()), users=tuple(parsed.users or ()),
        contexts=tuple(parsed.contexts or ()), current_context=parsed.current_context, folder=folder,
    )


def single_identity(config: Kubeconfig) -> Identity:
    """What another program needs to connect. Raises CredentialsError unless there is one cluster and one user."""
    if len(config.clusters) != 1 or len(config.users) != 1:
        raise errors.CredentialsError(
            f"{config.source}: exactly one cluster and one user are needed, "
            f"it has {len(config.clusters)} and {len(config.users)}"
        )
    cluster, user = config.clusters[0].cluster, config.users[0].user
    return Identity(
        server=cluster.server, ca_data=cluster.ca_data, cert_data=user.cert_data, key_data=user.key_data,
        token=user.token, insecure=cluster.insecure, tls_server_name=cluster.tls_server_name,
        cluster_name=config.clusters[0].name,
    )


def connection(config: Kubeconfig, *, context: str | None = None, trusted: bool = True) -> Connection:
    """The connection of one context: by default the current one, or the only cluster and user.

    Raises CredentialsError.
    """
    cluster, user, namespace = _select(config, context)
    if not trusted:
        _refuse_local(config, cluster, user)
    _refuse_unsupported(config, cluster, user)
    trust = _trust(config, cluster)
    return Connection(
        server=_server(config, cluster), credentials=_credentials(config, cluster, user, trust),
        tls_server_name=cluster.tls_server_name or None, namespace=namespace or "default", trust=trust,
    )


def _merge(paths: str) -> Kubeconfig:
    """Several files as kubectl merges them: the first mention of a name wins. Paths stay relative to their own file."""
    files = [Path(part).expanduser() for part in paths.split(os.pathsep) if part]
    configs = [
        _absolute(parse(credentials.read_file(file), source=str(file), folder=file.resolve().parent))
        for file in files if len(files) == 1 or file.exists()
    ]
    if not configs:
        raise errors.CredentialsError(f"no kubeconfig found in {paths}")
    return Kubeconfig(
        source=paths, clusters=tuple(c for config in configs for c in config.clusters),
        users=tuple(u for config in configs for u in config.users),
        contexts=tuple(c for config in configs for c in config.contexts),
        current_context=next((c.current_context for c in configs if c.current_context), ""),
    )


def _absolute(config: Kubeconfig) -> Kubeconfig:
    for named in config.clusters:
        named.cluster.ca_file = _resolve(config, named.cluster.ca_file)
    for named_user in config.users:
        user = named_user.user
        user.cert_file, user.key_file = _resolve(config, user.cert_file), _resolve(config, user.key_file)
        user.token_file = _resolve(config, user.token_file)
        if user.exec_plugin is not None and "/" in user.exec_plugin.command:
            user.exec_plugin.command = _resolve(config, user.exec_plugin.command)
    return config


def _resolve(config: Kubeconfig, path: str) -> str:
    return str((config.folder or Path()) / path) if path else ""


def _load_yaml(raw: bytes | str, source: str) -> Any:  # noqa: ANN401 - checked by the caller
    try:
        return untrustedyaml.load(raw)
    except untrustedyaml.Refused as error:
        raise errors.CredentialsError(f"{source}: not a kubeconfig: {error}") from None


def _select(config: Kubeconfig, wanted: str | None) -> tuple[ClusterEntry, UserEntry, str]:
    name = wanted or config.current_context
    if not name and len(config.clusters) == 1 and len(config.users) <= 1:
        return config.clusters[0].cluster, config.users[0].user if config.users else UserEntry(), ""
    context = next((c.context for c in config.contexts if c.name == name), None)
    if context is None:
        raise errors.CredentialsError(f"{config.source}: it has no context {name!r}" if name else
                                      f"{config.source}: no current-context is set; name a context")
    cluster = next((c.cluster for c in config.clusters if c.name == context.cluster), None)
    if cluster is None:
        raise errors.CredentialsError(f"{config.source}: context {name!r} names an unknown cluster {context.cluster!r}")
    user = next((u.user for u in config.users if u.name == context.user), None)
    if user is None and context.user:
        raise errors.CredentialsError(f"{config.source}: context {name!r} names an unknown user {context.user!r}")
    return cluster, user or UserEntry(), context.namespace


def _refuse_local(config: Kubeconfig, cluster: ClusterEntry, user: UserEntry) -> None:
    local = {
        "exec": user.exec_plugin is not None, "certificate-authority": bool(cluster.ca_file),
        "client-certificate": bool(user.cert_file), "client-key": bool(user.key_file),
        "tokenFile": bool(user.token_file),
    }
    found = [name for name, used in local.items() if used]
    if found:
        raise errors.CredentialsError(
            f"{config.source}: {', '.join(found)} cannot be used here, because it refers to this machine; "
            "put the data itself into the kubeconfig"
        )


def _refuse_unsupported(config: Kubeconfig, cluster: ClusterEntry, user: UserEntry) -> None:
    unsupported = {
        "auth-provider": user.auth_provider is not None, "as (impersonation)": bool(user.impersonate),
        "proxy-url": bool(cluster.proxy_url),
    }
    found = [name for name, used in unsupported.items() if used]
    if found:
        raise errors.CredentialsError(
            f"{config.source}: {', '.join(found)} is not supported; use another user or cluster"
        )


def _server(config: Kubeconfig, cluster: ClusterEntry) -> str:
    if not _is_server(cluster.server):
        raise errors.CredentialsError(f"{config.source}: the cluster's server is not an URL like https://host:6443")
    return cluster.server.rstrip("/")


def _is_server(text: str) -> bool:
    """Strict: the text becomes a part of every request."""
    try:
        url = urlsplit(text)
        reachable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    extras = url.username or url.password or url.query or url.fragment
    return reachable and not extras and _PRINTABLE.fullmatch(text) is not None


def _trust(config: Kubeconfig, cluster: ClusterEntry) -> credentials.Trust:
    if cluster.insecure and (cluster.ca_data or cluster.ca_file):
        raise errors.CredentialsError(
            f"{config.source}: insecure-skip-tls-verify and a certificate authority exclude each other; remove one"
        )
    ca_pem = None
    if cluster.ca_data:
        ca_pem = _base64(config, "certificate-authority-data", cluster.ca_data)
    elif cluster.ca_file:
        ca_pem = credentials.read_file(Path(cluster.ca_file))
    return credentials.Trust(
        ca_pem=ca_pem, insecure=cluster.insecure, plain_http=cluster.server.startswith("http://")
    )


def _credentials(
    config: Kubeconfig, cluster: ClusterEntry, user: UserEntry, trust: credentials.Trust
) -> credentials.Credentials:
    if user.exec_plugin is not None:
        return credentials.Exec(trust, _exec_plugin(config, cluster, user.exec_plugin))
    authorization = _authorization(config, user)
    certificate = None
    if user.cert_data or user.key_data:
        certificate = credentials.ClientCertificate(
            certificate_pem=_base64(config, "client-certificate-data", user.cert_data),
            key_pem=_base64(config, "client-key-data", user.key_data),
        )
    files = (Path(user.cert_file), Path(user.key_file)) if user.cert_file and certificate is None else None
    if files is None and not user.token_file:
        tls = _named(config, trust, certificate)
        return credentials.Fixed(credentials.Credential(tls=tls, authorization=authorization))
    return credentials.Files(
        trust, token=Path(user.token_file) if user.token_file else None, certificate=files,
        fixed_certificate=certificate, fixed_authorization=authorization,
    )


def _named(
    config: Kubeconfig, trust: credentials.Trust, certificate: credentials.ClientCertificate | None
) -> ssl.SSLContext | None:
    try:
        return credentials.tls_context(trust, certificate)
    except errors.CredentialsError as error:
        raise errors.CredentialsError(f"{config.source}: {error}") from None


def _authorization(config: Kubeconfig, user: UserEntry) -> str | None:
    if user.token:
        return credentials.bearer(user.token, config.source)
    if user.username:
        return credentials.basic(user.username, user.password)
    return None


def _exec_plugin(config: Kubeconfig, cluster: ClusterEntry, entry: ExecEntry) -> credentials.ExecPlugin:
    if not entry.command:
        raise errors.CredentialsError(f"{config.source}: exec has no command")
    if entry.api_version not in credentials.EXEC_API_VERSIONS:
        legal = ", ".join(credentials.EXEC_API_VERSIONS)
        raise errors.CredentialsError(f"{config.source}: exec apiVersion {entry.api_version!r} is not one of {legal}")
    if entry.interactive_mode == "Always":
        raise errors.CredentialsError(f"{config.source}: the exec plugin wants a terminal; there is none here")
    info = None
    if entry.provide_cluster_info:
        info = {"server": cluster.server, "certificate-authority-data": cluster.ca_data}
    return credentials.ExecPlugin(
        command=entry.command, args=tuple(entry.args or ()), env={v.name: v.value for v in entry.env or ()},
        api_version=entry.api_version, install_hint=entry.install_hint, cluster=info,
    )


def _base64(config: Kubeconfig, name: str, text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise errors.CredentialsError(f"{config.source}: {name} is not base64") from None
