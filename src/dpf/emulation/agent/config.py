"""What an agent is told by the files on its card: whom it reports on, where, as whom, and what its DPU was set up with.

Pure. Called by `emulation.dpu.config`. No error quotes a file: one of them holds the bootstrap token.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from dpf.emulation.join import errors, token
from dpf.emulation.join.token import BootstrapToken
from dpf.kube import errors as kube_errors
from dpf.kube import kubeconfig, untrustedyaml

_COMMON_NAME_MAX: Final = 64


class AgentConfigError(ValueError):
    """The agent cannot begin with these files; `str()` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the DPUFlavor left for the agent to finish.

    `has_firmware_settings`: they count after a reset of the card. `needs_reboot`: a new kernel command line waits for a
    restart of the Arm cores. `delays_host`: the firmware keeps the host waiting until the agent releases it.
    """

    has_firmware_settings: bool
    needs_reboot: bool
    delays_host: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """An agent before its first start. `uid` is that of the DPU object; the repr hides the token's secret part."""

    namespace: str
    name: str
    uid: str
    server: str
    ca_pem: bytes
    token: BootstrapToken
    user: str
    groups: tuple[str, ...]
    setup: Setup


def kubeconfig_path(configuration: str) -> str:
    """The file with the bootstrap kubeconfig that dpuagent.conf names. Raises AgentConfigError."""
    return _text(_document(configuration), "bootstrapKubeconfig")


def parse(configuration: str, bootstrap: bytes, setup: Setup) -> AgentConfig:
    """dpuagent.conf and the bootstrap kubeconfig. Raises AgentConfigError."""
    document = _document(configuration)
    dpu, groups = document.get("dpu"), document.get("groups")
    if not isinstance(dpu, dict) or not isinstance(groups, list) or not all(map(_is_name, groups)):
        raise AgentConfigError("dpuagent.conf needs the mapping dpu and the list groups")
    user = _text(document, "user")
    if len(user) > _COMMON_NAME_MAX:
        raise AgentConfigError(f"dpuagent.conf: a certificate has room for a user of {_COMMON_NAME_MAX} characters")
    identity = _bootstrap(bootstrap)
    try:
        return AgentConfig(
            namespace=_text(dpu, "namespace"), name=_text(dpu, "name"), uid=_text(dpu, "uid"),
            server=identity.server, ca_pem=_pem(identity.ca_data), token=token.parse(identity.token),
            user=user, groups=tuple(groups), setup=setup,
        )
    except errors.InvalidJoinConfig as error:
        raise AgentConfigError(f"the agent's bootstrap kubeconfig: {error}") from None


def _bootstrap(content: bytes) -> kubeconfig.Identity:
    try:
        identity = kubeconfig.single_identity(kubeconfig.parse(content, source="the agent's bootstrap kubeconfig"))
    except kube_errors.CredentialsError as error:
        raise AgentConfigError(str(error)) from None
    if not identity.server.startswith("https://") or not identity.ca_data:
        raise AgentConfigError("the agent's bootstrap kubeconfig needs a server with https:// and its CA")
    return identity


def _pem(data: str) -> bytes:
    try:
        pem = base64.b64decode(data, validate=True)
        x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise AgentConfigError("the CA in the agent's bootstrap kubeconfig is no certificate") from None
    return pem


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _document(configuration: str) -> Mapping[str, Any]:
    try:
        loaded = untrustedyaml.load(configuration)
    except untrustedyaml.Refused as error:
        raise AgentConfigError(f"dpuagent.conf: {error}") from None
    if not isinstance(loaded, dict):
        raise AgentConfigError("dpuagent.conf is no mapping")
    return loaded


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or not value:
        raise AgentConfigError(f"dpuagent.conf does not say {key}")
    return value
