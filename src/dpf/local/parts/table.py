"""Every program and file that the local platform takes from elsewhere, with its version. Pure.

This is the one place with versions, beside the go.mod files that pin what is built (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KUBERNETES = "v1.36.3"
ETCD = "3.6.6"
HELM = "3.22.0"
ARGOCD = "3.2.11"
_KUBERNETES_MAJOR, _KUBERNETES_MINOR = KUBERNETES.removeprefix("v").split(".")[:2]

PLATFORM = "platform"
CHAINS = "chains"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionProbe:
    """How a program tells its version: the arguments, and a pattern whose group 1 is the version."""

    arguments: tuple[str, ...]
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An official download. `sha256` by architecture (amd64, arm64); `member` is the path inside a tar.gz.

    `{version}` and `{arch}` are replaced in both. Only a checksum that somebody verified belongs here.
    """

    url: str
    sha256: Mapping[str, str]
    member: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProgram:
    """A main package in the Go module folder `module`; go calls what it builds `output`."""

    module: str
    package: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoFiles:
    """Files inside the sources of the Go module at `path`, which the module folder `module` pins."""

    module: str
    path: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePatch:
    """One exact replacement in a file of the Go module at `path`; it has to fit exactly once."""

    path: str
    file: str
    old: str
    new: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoModule:
    """One of the folders under `go/`: linker variables (`-X`), and a patch where upstream has no setting."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    patch: SourcePatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that is needed.

    `executables` are the names under which it is looked for on PATH; empty where a copy from elsewhere would not do.
    `links` are names under which the program is also called, because it behaves by its name. `needed_by` are features.
    """

    name: str
    version: str | None = None
    executables: tuple[str, ...] = ()
    probe: VersionProbe | None = None
    links: tuple[str, ...] = ()
    release: Release | None = None
    go: GoProgram | GoFiles | None = None
    debian: str | None = None
    needed_by: frozenset[str] = frozenset({PLATFORM})

    @property
    def variable(self) -> str:
        """The environment variable that names this part explicitly."""
        return f"DPF_PART_{self.name.upper().replace('-', '_')}"

    @property
    def is_folder(self) -> bool:
        """Whether the part is a folder of files rather than a program."""
        return isinstance(self.go, GoFiles)


_BUILT_AS = "k8s.io/component-base/version"
_HELM = "helm.sh/helm/v3"
_ARGOCD = "github.com/argoproj/argo-cd/v3"

GO_MODULES = (
    GoModule(name="etcd"),
    GoModule(
        # Without these the API server calls itself v0.0.0, and version checks of charts fail.
        name="kubernetes",
        variables={
            f"{_BUILT_AS}.gitVersion": KUBERNETES,
            f"{_BUILT_AS}.gitMajor": _KUBERNETES_MAJOR,
            f"{_BUILT_AS}.gitMinor": _KUBERNETES_MINOR,
        },
    ),
    GoModule(
        name="helm",
        variables={
            f"{_HELM}/internal/version.version": f"v{HELM}",
            f"{_HELM}/pkg/chartutil.k8sVersionMajor": _KUBERNETES_MAJOR,
            f"{_HELM}/pkg/chartutil.k8sVersionMinor": _KUBERNETES_MINOR,
            f"{_HELM}/pkg/lint/rules.k8sVersionMajor": _KUBERNETES_MAJOR,
            f"{_HELM}/pkg/lint/rules.k8sVersionMinor": _KUBERNETES_MINOR,
        },
    ),
    GoModule(
        name="argocd",
        variables={f"{_ARGOCD}/common.version": ARGOCD},
        patch=SourcePatch(
            path=_ARGOCD,
            file="controller/appcontroller.go",
            old='metricsAddr := fmt.Sprintf("0.0.0.0:%d", metricsPort)',
            new='metricsAddr := fmt.Sprintf("127.0.0.1:%d", metricsPort)',
            because="the application controller serves metrics on every address and has no setting for it",
        ),
    ),
)
"""In the order in which they are built: what the platform can start first comes first."""


def _kubernetes(name: str, probe: VersionProbe) -> Part:
    program = GoProgram(module="kubernetes", package=f"k8s.io/kubernetes/cmd/{name}", output=name)
    return Part(name=name, version=KUBERNETES, executables=(name,), probe=probe, go=program)


_SERVER_VERSION = VersionProbe(arguments=("--version",), pattern=r"Kubernetes (v\S+)")

PARTS = (
    Part(
        name="etcd", version=ETCD, executables=("etcd",),
        probe=VersionProbe(arguments=("--version",), pattern=r"etcd Version: (\S+)"),
        go=GoProgram(module="etcd", package="go.etcd.io/etcd/server/v3", output="server"),
    ),
    _kubernetes("kube-apiserver", _SERVER_VERSION),
    _kubernetes("kube-controller-manager", _SERVER_VERSION),
    _kubernetes("kube-scheduler", _SERVER_VERSION),
    _kubernetes("kubectl", VersionProbe(arguments=("version", "--client"), pattern=r"Client Version: (\S+)")),
    Part(
        name="helm", version=HELM, executables=("helm",),
        probe=VersionProbe(arguments=("version", "--short"), pattern=r"v([^\s+]+)"),
        go=GoProgram(module="helm", package=f"{_HELM}/cmd/helm", output="helm"),
    ),
    Part(
        # Not looked for on PATH and not downloaded: see the patch of its Go module.
        name="argocd", version=ARGOCD, links=("argocd-application-controller", "argocd-repo-server"),
        go=GoProgram(module="argocd", package=f"{_ARGOCD}/cmd", output="cmd"),
    ),
    Part(
        name="argocd-crds", version=ARGOCD,
        go=GoFiles(
            module="argocd", path=_ARGOCD,
            files=("manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml"),
        ),
    ),
    Part(
        # Debian's redis-server package only adds a service that listens on 6379; the program itself is in redis-tools,
        # under the name of another of its faces.
        name="redis-server", executables=("redis-server", "redis-check-rdb"), links=("redis-server",),
        debian="redis-tools",
    ),
    Part(name="ip", executables=("ip",), debian="iproute2"),
    Part(name="ethtool", executables=("ethtool",), debian="ethtool"),
    Part(
        name="ovs-vswitchd", executables=("ovs-vswitchd",), debian="openvswitch-switch", needed_by=frozenset({CHAINS}),
    ),
)


def needed_for(features: frozenset[str]) -> tuple[Part, ...]:
    """The parts that any of `features` needs, in the table's order."""
    return tuple(part for part in PARTS if part.needed_by & features)


def by_name(name: str) -> Part:
    """The part of that name, or the one that is also called by it. Raises KeyError."""
    by_link = {link: part for part in PARTS for link in part.links}
    return {**by_link, **{part.name: part for part in PARTS}}[name]
