"""`make demo`: the main job as a user would do it, with the same programs: dpfctl and kubectl.

Brings up the local platform with emulated hardware, installs the DPUs from a BFB, a DPUFlavor and a DPUSet until they
are Ready Nodes, and deploys the DPUService of the development guide (examples/000-dummydpuservice.yaml). With DPUs that
are installed through their hosts (`INSTALL_INTERFACE=gnoi`, the default) it goes on with the DPUDeployment of the
users' guide (examples/003-producer-consumer.yaml), which installs them anew for a tenant, and updates it. With
`INSTALL_INTERFACE=redfish` the DPUs are found and installed by their BMCs. Chains are not in this release: for them
`tools.standin` speaks meanwhile. Leaves the platform running.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SERVICE = EXAMPLES / "000-dummydpuservice.yaml"
DPUSET = EXAMPLES / "001-dpuset-dk.yaml"
DEPLOYMENT = EXAMPLES / "003-producer-consumer.yaml"
THROUGH_HOSTS = EXAMPLES / "030-provisioning-gnoi.yaml"
THROUGH_BMCS = EXAMPLES / "031-provisioning-redfish.yaml"
DPF = "dpf-operator-system"
NAMESPACE = "customer-namespace"
RACKS = ("b-100", "b-101")
"""Where the users' guide expects its hosts."""
TENANT_LABEL = "provisioning.dpu.nvidia.com/dpunode-namespace"
DPFCTL = Path(sys.executable).with_name("dpfctl")


class DemoError(Exception):
    """A command of the demo failed; its own output has already said why."""


def main() -> int:
    """Run the demo; 0 when everything became Ready."""
    dpus, interface = os.environ.get("DPUS", "2"), os.environ.get("INSTALL_INTERFACE") or "gnoi"
    took: dict[str, float] = {}
    try:
        check(dpus, interface)
        took["parts"] = timed(lambda: run([DPFCTL, "local", "parts"]))
        took["platform"] = timed(lambda: bring_up(dpus, interface))
        environment = platform_environment()
        kubectl = environment["KUBECTL"]
        host = [kubectl, "--kubeconfig", environment["HOST_KUBECONFIG"]]
        dpu = [kubectl, "--kubeconfig", environment["DPU_KUBECONFIG"]]
        install = through_hosts if interface == "gnoi" else through_bmcs
        took["provisioning"] = timed(lambda: install(host, environment, dpus))
        show_dpus(host, dpu)
        if interface == "gnoi":
            relabel(host, dpu)
        took["service"] = timed(lambda: deploy(host, environment))
        show_service(dpu)
        if interface == "gnoi":
            with standin(environment["HOST_KUBECONFIG"]):
                took["deployment"] = timed(lambda: roll_out(host))
                show_deployment(host)
                took["its update"] = timed(lambda: update(host))
                describe("dpudeployments")
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(
        f"\nThe platform goes on running: `eval \"$({typed(DPFCTL)} local env)\"` points kubectl at it, "
        f"`{typed(DPFCTL)} local down` removes it."
    )
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    print(f"demo: ready in {sum(took.values()):.1f} s ({parts})")
    return 0


def check(dpus: str, interface: str) -> None:
    """What would fail in the middle of it otherwise. Raises DemoError."""
    if interface not in {"gnoi", "redfish"}:
        raise DemoError(f"INSTALL_INTERFACE is gnoi or redfish, not {interface!r}")
    least = len(RACKS) if interface == "gnoi" else 1
    if not (dpus.isascii() and dpus.isdigit()) or int(dpus) < least:
        raise DemoError(f"DPUS is a number from {least}, not {dpus!r}: with {interface} the demo needs so many hosts")


def bring_up(dpus: str, interface: str) -> None:
    """The platform, with hardware on which nothing is installed."""
    run([DPFCTL, "local", "up", "--dpus", dpus, "--install-interface", interface])


def through_hosts(host: list[str], environment: Mapping[str, str], dpus: str) -> None:  # noqa: ARG001 - as the other
    """BFB, DPUFlavor and the documents' DPUSet, for hosts that are Nodes and carry its label."""
    start_over(host, dpus)
    run([*host, "get", "nodes", "-L", "feature.node.kubernetes.io/dpu-0-pci-address"])
    run([*host, "get", "dpunodes,dpudevices", "-n", DPF])
    run([*host, "label", "nodes", "--all", "e2e.servers/dk=true", "--overwrite"])
    run([*host, "apply", "-f", "-"], stdin=documents(THROUGH_HOSTS, {"BFB", "DPUFlavor"}),
        shown=f"kubectl apply -f {relative(THROUGH_HOSTS)}  # BFB and DPUFlavor")
    run([*host, "apply", "-f", str(DPUSET)])
    wait_installed(host, "dpuset-dk", dpus)


def start_over(host: list[str], dpus: str) -> None:
    """Take the hosts back from the tenant of an earlier demo, perhaps; on a new platform there is nothing to do."""
    capture([*host, "delete", "--ignore-not-found", "-f", str(DEPLOYMENT)])
    capture([*host, "label", "nodes", "--all", f"{TENANT_LABEL}-"])
    for number in range(1, int(dpus) + 1):
        capture([*host, "wait", "--for=create", f"dpunode/worker-{number}", "-n", DPF, "--timeout=60s"])


def through_bmcs(host: list[str], environment: Mapping[str, str], dpus: str) -> None:
    """A DPUDiscovery finds the cards; then BFB, DPUFlavor and DPUSet."""
    run([*host, "apply", "-f", "-"], stdin=Template(THROUGH_BMCS.read_text()).substitute(environment),
        shown=f"envsubst < {relative(THROUGH_BMCS)} | kubectl apply -f -")
    wait_installed(host, "all-dpus", dpus)
    run([*host, "get", "dpudiscoveries,dpunodes,dpudevices", "-n", DPF])


def wait_installed(host: list[str], dpuset: str, dpus: str) -> None:
    """Until the set counts so many Ready DPUs; what they do meanwhile is shown once."""
    counted = f"--for=jsonpath={{.status.dpuStatistics.Ready}}={dpus}"
    run([*host, "wait", "--for=create", "dpu", "-l", f"provisioning.dpu.nvidia.com/dpuset-name={dpuset}", "-n", DPF,
         "--timeout=60s"])
    run([*host, "get", "dpus", "-n", DPF])
    run([*host, "wait", counted, f"dpuset/{dpuset}", "-n", DPF, "--timeout=240s"])


def show_dpus(host: list[str], dpu: list[str]) -> None:
    """The DPUs as objects of the host cluster, and as Nodes of their own cluster."""
    run([*host, "get", "dpus", "-n", DPF])
    describe("dpusets")
    describe("dpuclusters")
    run([*dpu, "get", "nodes", "-o", "wide"])


def describe(what: str) -> None:
    """`dpfctl describe`, with the platform's kubeconfig."""
    run([DPFCTL, "describe", what, "--kubeconfig", platform_environment()["HOST_KUBECONFIG"]])


def relabel(host: list[str], dpu: list[str]) -> None:
    """The service selects Nodes by a label: the DPUSet gives it to DPUs that are installed, which stay as they are."""
    patch = '{"spec": {"dpuTemplate": {"spec": {"cluster": {"nodeLabels": {"dpu": "dpu"}}}}}}'
    run([*host, "patch", "dpuset", "dpuset-dk", "-n", DPF, "--type=merge", "-p", patch])
    run([*dpu, "wait", "--for=jsonpath={.metadata.labels.dpu}=dpu", "nodes", "--all", "--timeout=30s"])


def deploy(host: list[str], environment: Mapping[str, str]) -> None:
    """Apply the example with its registry placeholders filled, and wait for Ready."""
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: dummydpuservice}\n"
    manifest = Template(SERVICE.read_text()).substitute(environment)
    run([*host, "apply", "-f", "-"], stdin=namespace)
    run([*host, "apply", "-f", "-"], stdin=manifest)
    run([
        *host, "wait", "--for=condition=Ready", "dpuservice/dummydpuservice", "-n", "dummydpuservice", "--timeout=60s",
    ])


def show_service(dpu: list[str]) -> None:
    """What the DPU cluster runs, and one answer of the service itself."""
    run([*dpu, "get", "nodes", "-o", "wide"])
    run([*dpu, "get", "daemonsets,pods", "-n", "dummydpuservice", "-o", "wide"])
    pod = capture([
        *dpu, "get", "pods", "-n", "dummydpuservice", "-o", "jsonpath={.items[0].status.podIP}",
    ]).strip()
    run([sys.executable, "-c", _FETCH, f"http://{pod}:8080/"], shown=f"curl http://{pod}:8080/")


def roll_out(host: list[str]) -> None:
    """Hand the hosts to a tenant, apply its DPUDeployment as it stands, and wait for Ready."""
    run([*host, "delete", "dpuset", "dpuset-dk", "-n", DPF])
    run([*host, "apply", "-f", "-"], stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n")
    tenant = f"{TENANT_LABEL}={NAMESPACE}"
    for number, rack in enumerate(RACKS, start=1):
        run([*host, "label", "node", f"worker-{number}", tenant, f"datacenter.nvidia.com/rack={rack}", "--overwrite"])
    run([*host, "apply", "-f", str(DEPLOYMENT)])
    for number in range(1, len(RACKS) + 1):
        dpuset = f"dpuset/producer-consumer-dpuset{number}"
        capture([*host, "wait", "--for=create", dpuset, "-n", NAMESPACE, "--timeout=60s"])
        counted = "--for=jsonpath={.status.dpuStatistics.Ready}=1"
        run([*host, "wait", counted, dpuset, "-n", NAMESPACE, "--timeout=240s"])
    wait_ready(host)


def show_deployment(host: list[str]) -> None:
    """The tables of the users' guide."""
    for kind in ("dpuset", "dpu", "dpuserviceinterface", "dpuservicechain", "dpuservice"):
        run([*host, "get", kind, "-n", NAMESPACE])


def update(host: list[str]) -> None:
    """The guide's disruptive update: a second revision beside the first, which goes when the second has taken over."""
    patch = [*host, "patch", "dpuserviceconfiguration", "producer", "-n", NAMESPACE, "--type=json", "-p"]
    run([*patch, '[{"op": "add", "path": "/spec/nodeEffect", "value": true}]'])
    run([*patch, '[{"op": "replace", "path": "/spec/interfaces/0/name", "value": "app-iface2"}]'])
    first = "dpuservice/producer-consumer-producer"
    run([*host, "wait", "--for=jsonpath={.spec.paused}=true", first, "-n", NAMESPACE, "--timeout=60s"])
    run([*host, "get", "dpuservices", "-n", NAMESPACE])
    run([*host, "wait", "--for=delete", first, "-n", NAMESPACE, "--timeout=60s"])
    wait_ready(host)
    run([*host, "get", "dpuservices", "-n", NAMESPACE])


def wait_ready(host: list[str]) -> None:
    """Until the DPUDeployment says that it is Ready about what it was last told."""
    run([
        *host, "wait", "--for=condition=Ready", "dpudeployment/producer-consumer", "-n", NAMESPACE, "--timeout=60s",
    ])


@contextmanager
def standin(kubeconfig: str) -> Iterator[None]:
    """What chains will do is said by a stand-in meanwhile."""
    print("\nService chains come with a later release; tools/standin says Ready for them.", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "tools.standin", "--kubeconfig", kubeconfig], cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


def platform_environment() -> dict[str, str]:
    """What `dpfctl local env` exports."""
    lines = capture([DPFCTL, "local", "env"]).splitlines()
    words = [shlex.split(line.removeprefix("export ")) for line in lines if line.startswith("export ")]
    return dict(word.split("=", 1) for line in words for word in line)


def documents(path: Path, kinds: set[str]) -> str:
    """Those documents of a manifest that are of these kinds."""
    texts = path.read_text().split("---\n")
    return "---\n".join(text for text in texts if any(f"\nkind: {kind}\n" in f"\n{text}" for kind in kinds))


def run(command: list[str | Path], *, stdin: str | None = None, shown: str = "") -> None:
    """Show a command and run it; its output goes to the terminal."""
    argv = [str(word) for word in command]
    print(f"\n$ {shown or ' '.join(relative(Path(word)) for word in argv)}", flush=True)
    result = subprocess.run(argv, input=stdin, text=True, check=False)
    if result.returncode != 0:
        raise DemoError(f"`{shown or shlex.join(argv)}` ended with {result.returncode}")


def capture(command: list[str | Path]) -> str:
    """Output of a command that must succeed."""
    result = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise DemoError(result.stderr.strip())
    return result.stdout


def timed(step: Callable[[], None]) -> float:
    """Seconds that calling `step` took."""
    began = time.monotonic()
    step()
    return time.monotonic() - began


def typed(path: Path) -> str:
    """A program of this checkout as it is typed in its folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def relative(path: Path) -> str:
    """A program by its name, a file by its path in this checkout: what a person would type."""
    return path.name if path.is_absolute() and os.access(path, os.X_OK) else typed(path)


if __name__ == "__main__":
    sys.exit(main())
