"""`make demo`: the main job as a user would do it, with the same programs: dpfctl and kubectl.

Brings up the local platform, applies the DPUService of the development guide (examples/000-dummydpuservice.yaml) and
the DPUDeployment of the users' guide (examples/003-producer-consumer.yaml), updates it, and shows what runs where.
Provisioning and chains are not in this release: for them `tools.standin` speaks meanwhile, and only for them. Leaves
the platform running.
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
EXAMPLE = ROOT / "examples" / "000-dummydpuservice.yaml"
DEPLOYMENT = ROOT / "examples" / "003-producer-consumer.yaml"
NAMESPACE = "customer-namespace"
RACKS = {"dpu-1": "b-100", "dpu-2": "b-101"}
"""Where the emulated DPUs stand, so that both DPUSets of the example have one."""
DPFCTL = Path(sys.executable).with_name("dpfctl")


class DemoError(Exception):
    """A command of the demo failed; its own output has already said why."""


def main() -> int:
    """Run the demo; 0 when everything became Ready."""
    dpus = os.environ.get("DPUS", "2")
    try:
        parts_s = timed(lambda: run([DPFCTL, "local", "parts"]))
        platform_s = timed(lambda: run([DPFCTL, "local", "up", "--dpus", dpus]))
        environment = platform_environment()
        kubectl = environment["KUBECTL"]
        host = [kubectl, "--kubeconfig", environment["HOST_KUBECONFIG"]]
        dpu = [kubectl, "--kubeconfig", environment["DPU_KUBECONFIG"]]
        service_s = timed(lambda: deploy(host, environment))
        run([
            DPFCTL, "describe", "dpuservices", "--show-conditions=all", "--kubeconfig", environment["HOST_KUBECONFIG"],
        ])
        show(dpu)
        with standin(environment["HOST_KUBECONFIG"]):
            deployment_s = timed(lambda: roll_out(host, dpu))
            show_deployment(host)
            update_s = timed(lambda: update(host))
            run([DPFCTL, "describe", "dpudeployments", "--kubeconfig", environment["HOST_KUBECONFIG"]])
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    total = parts_s + platform_s + service_s + deployment_s + update_s
    print(
        f"\nThe platform goes on running: `eval \"$({typed(DPFCTL)} local env)\"` points kubectl at it, "
        f"`{typed(DPFCTL)} local down` removes it."
    )
    print(
        f"demo: ready in {total:.1f} s (parts {parts_s:.1f} s, platform {platform_s:.1f} s, service {service_s:.1f} s, "
        f"deployment {deployment_s:.1f} s, its update {update_s:.1f} s)"
    )
    return 0


def deploy(host: list[str], environment: Mapping[str, str]) -> None:
    """Apply the example with its registry placeholders filled, and wait for Ready."""
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: dummydpuservice}\n"
    manifest = Template(EXAMPLE.read_text()).substitute(environment)
    run([*host, "apply", "-f", "-"], stdin=namespace)
    run([*host, "apply", "-f", "-"], stdin=manifest)
    run([
        *host, "wait", "--for=condition=Ready", "dpuservice/dummydpuservice", "-n", "dummydpuservice", "--timeout=60s",
    ])


def show(dpu: list[str]) -> None:
    """What the DPU cluster runs, and one answer of the service itself."""
    run([*dpu, "get", "nodes", "-o", "wide"])
    run([*dpu, "get", "daemonsets,pods", "-n", "dummydpuservice", "-o", "wide"])
    pod = capture([
        *dpu, "get", "pods", "-n", "dummydpuservice", "-o", "jsonpath={.items[0].status.podIP}",
    ]).strip()
    run([sys.executable, "-c", _FETCH, f"http://{pod}:8080/"], shown=f"curl http://{pod}:8080/")


def roll_out(host: list[str], dpu: list[str]) -> None:
    """Apply the users' DPUDeployment as it stands, and wait for Ready."""
    # From an earlier demo, perhaps.
    capture([*host, "delete", "--ignore-not-found", "-f", str(DEPLOYMENT)])
    for node, rack in RACKS.items():
        run([*dpu, "label", "node", node, f"datacenter.nvidia.com/rack={rack}", "--overwrite"])
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n"
    run([*host, "apply", "-f", "-"], stdin=namespace)
    run([*host, "apply", "-f", str(DEPLOYMENT)])
    wait_ready(host)


def show_deployment(host: list[str]) -> None:
    """The tables of the users' guide."""
    for kind in ("dpuset", "dpuserviceinterface", "dpuservicechain", "dpuservice"):
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
    """What provisioning and chains will do is said by a stand-in meanwhile."""
    print("\nProvisioning and chains come with a later release; tools/standin says Ready for them.", flush=True)
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
    """A program by its name, a file by its path: what a person would type."""
    return path.name if path.is_absolute() and os.access(path, os.X_OK) else str(path)


if __name__ == "__main__":
    sys.exit(main())
