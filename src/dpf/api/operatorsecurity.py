"""Security settings in a DPFOperatorConfig (api-provisioning.md section 13.4): pods, certificates, SPIFFE, Vault."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from dpf.api.meta import Model
from dpf.api.operatorcomponents import DNS_SUBDOMAIN_PATTERN, Container, ContainerImage, Disable, HelmChart, KeyRef
from dpf.api.schema import Rule, Schema

_SPIFFE_ID_TEMPLATE: Final = Schema(min_length=1, max_length=2048, description="Template of a SPIFFE ID.")
_HOST_AND_PORT: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*:[0-9]+$"

SPIFFEIDTemplate = Annotated[str | None, _SPIFFE_ID_TEMPLATE]
EngineMountPath = Annotated[
    str | None, Schema(min_length=1, max_length=512, description="Where the authentication method is mounted.")
]


class CertManagement(Model):
    """Certificates of the platform."""

    trustBundleConfigMapName: Annotated[
        str,
        Schema(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN_PATTERN, default="dpf-ca-trust-bundle",
               description="ConfigMap with the trusted CAs (keys ca.crt and bundle-hash)."),
    ] = "dpf-ca-trust-bundle"


class TrustBundle(Model):
    """ConfigMap with the trust bundle of the SPIRE server."""

    name: Annotated[str, Schema(min_length=1, max_length=253, description="Name of the ConfigMap.")]
    namespace: Annotated[str, Schema(min_length=1, max_length=63, description="Namespace of the ConfigMap.")]
    format: Annotated[
        str, Schema(enum=("pem", "spiffe"), default="pem", description="Format of the bundle.")
    ] = "pem"


class SPIFFE(Model):
    """Identities of DPU agents and services by SPIFFE; zero-trust only."""

    spireServerAddress: Annotated[
        str,
        Schema(
            min_length=1, max_length=263, description="Address of the SPIRE server, host:port.",
            rules=(
                Rule(rule=f"self.matches('{_HOST_AND_PORT}')",
                     message="spireServerAddress must be host:port with a valid DNS-1123 host "
                             "(e.g. spire-server.spire-system.svc:8081)"),
                Rule(rule="!self.matches(':[0-9]+$') || (self.matches(':[0-9]{1,5}$') && "
                          "int(self.substring(self.lastIndexOf(':') + 1)) >= 1 && "
                          "int(self.substring(self.lastIndexOf(':') + 1)) <= 65535)",
                     message="spireServerAddress port must be in 1-65535"),
            ),
        ),
    ]
    spireTrustDomain: Annotated[
        str, Schema(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN_PATTERN, description="Trust domain.")
    ]
    kubeAPIAudience: Annotated[
        str, Schema(min_length=1, max_length=512, description="Audience of tokens for the API server.")
    ]
    spireOIDCURL: Annotated[
        str, Schema(min_length=1, max_length=2048, description="OIDC discovery provider of SPIRE.")
    ]
    spireControllerManagerClassName: Annotated[
        str, Schema(min_length=1, max_length=253, description="Class name of SPIRE's controller manager.")
    ]
    trustBundle: TrustBundle
    dpuAgentSPIFFEIDTemplate: SPIFFEIDTemplate = None
    dpuAgentExchangedSPIFFEIDTemplate: SPIFFEIDTemplate = None
    dpuServiceSPIFFEIDTemplate: SPIFFEIDTemplate = None
    dpuServiceExchangedSPIFFEIDTemplate: SPIFFEIDTemplate = None
    tokenExchangeEndpoint: Annotated[
        str | None,
        Schema(max_length=2048, pattern=r'^https://[^[:space:]"\\]+$', description="Where identities are exchanged."),
    ] = None


class Kata(Model):
    """Virtual machines as pod sandboxes on DPUs; off by default."""

    disable: Disable = None
    helmChart: HelmChart = None
    daemon: ContainerImage | None = None
    nodeSelector: Annotated[dict[str, str] | None, Schema(description="DPU nodes that get it.")] = None
    shims: Annotated[
        list[Annotated[str, Schema(enum=("qemu",))]] | None, Schema(description="Runtimes to install.")
    ] = None
    containerdConfigFileName: Annotated[
        str | None, Schema(description="File of containerd's configuration that is changed.")
    ] = None


class CAConfigMapRef(Model):
    """ConfigMap with the CA of Vault."""

    name: Annotated[str | None, Schema(description="Name of the ConfigMap.")] = None
    key: Annotated[str | None, Schema(description="Key in its data.")] = None


class VaultTLS(Model):
    """How Vault is recognised."""

    caConfigMapRef: CAConfigMapRef | None = None


class VaultToken(Model):
    """Login with a token."""

    tokenSecretRef: Annotated[KeyRef, Schema(description="Secret that holds the token.")]


class VaultAppRole(Model):
    """Login with an AppRole."""

    secretName: Annotated[str, Schema(description="Secret that holds both ids.")]
    roleIDKey: Annotated[str, Schema(description="Key of the role id.")]
    secretIDKey: Annotated[str, Schema(description="Key of the secret id.")]
    authEngineMountPath: EngineMountPath = None


class VaultUserpass(Model):
    """Login with a user name and a password."""

    secretName: Annotated[str, Schema(description="Secret that holds both.")]
    usernameKey: Annotated[str, Schema(description="Key of the user name.")]
    passwordKey: Annotated[str, Schema(description="Key of the password.")]
    authEngineMountPath: EngineMountPath = None


class VaultKubernetes(Model):
    """Login with a ServiceAccount."""

    role: Annotated[str, Schema(description="Role in Vault.")]
    audience: Annotated[str | None, Schema(description="Audience of the token.")] = None
    authEngineMountPath: EngineMountPath = None


class VaultJWT(Model):
    """Login with a JWT."""

    role: Annotated[str, Schema(description="Role in Vault.")]
    jwtSecretRef: Annotated[KeyRef, Schema(description="Secret that holds the JWT.")]
    authEngineMountPath: EngineMountPath = None


def _auth_rules(method: str, block: str) -> tuple[Rule, Rule]:
    """`block` is present exactly when the method is its own."""
    return (
        Rule(rule=f"self.method != '{method}' || has(self.{block})",
             message=f"{block} is required when method is {method}"),
        Rule(rule=f"self.method == '{method}' || !has(self.{block})",
             message=f"{block} must only be set when method is {method}"),
    )


class VaultAuth(Model):
    """How the plugin logs in to Vault."""

    schema: ClassVar[Schema] = Schema(rules=(
        *_auth_rules("token", "token"),
        *_auth_rules("approle", "appRole"),
        *_auth_rules("userpass", "userpass"),
        *_auth_rules("kubernetes", "kubernetes"),
        *_auth_rules("jwt", "jwt"),
    ))

    method: Annotated[
        str, Schema(enum=("token", "approle", "userpass", "kubernetes", "jwt"), description="Authentication method.")
    ]
    token: VaultToken | None = None
    appRole: VaultAppRole | None = None
    userpass: VaultUserpass | None = None
    kubernetes: VaultKubernetes | None = None
    jwt: VaultJWT | None = None


class VaultTransit(Model):
    """Key in Vault's transit engine."""

    keyName: Annotated[str, Schema(pattern=r"^\w(([\w-.]+)?\w)?$", description="Name of the key.")]
    mount: Annotated[
        str,
        Schema(min_length=1, max_length=512, pattern=r"^/?[^/\s][^\s]*$", default="transit",
               description="Where the engine is mounted."),
    ] = "transit"


class VaultKMS(Model, kw_only=True):
    """Encryption keys of DPU clusters from Vault; off by default."""

    disable: Disable = None
    daemon: Container | None = None
    address: Annotated[
        str, Schema(min_length=1, max_length=2048, pattern="^https://.+$", description="Address of Vault.")
    ]
    auth: VaultAuth
    transit: VaultTransit
    tls: VaultTLS | None = None
    namespace: Annotated[str | None, Schema(min_length=1, max_length=512, description="Namespace in Vault.")] = None
    tokenCheckIntervalSeconds: Annotated[
        int | None, Schema(minimum=5, description="Seconds between checks of the login.")
    ] = None
    loginTimeoutSeconds: Annotated[int | None, Schema(minimum=1, description="Seconds that a login may take.")] = None


class Security(Model):
    """Security of DPU clusters."""

    privilegedPodEnforcement: Annotated[
        bool, Schema(default=True, description="Refuse privileged pods that no service asked for; false only audits.")
    ] = True
    certManagement: CertManagement | None = None
    spiffe: SPIFFE | None = None
    kata: Kata | None = None
    vaultKMS: VaultKMS | None = None
