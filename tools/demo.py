"""`make demo`: the main job as a user would do it, with the same programs: dpfctl and kubectl.

Brings up the local platform, applies the DPUService of the development guide (examples/000-dummydpuservice.yaml), waits
until it is Ready and shows what runs where. Leaves the platform running.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "000-dummydpuservice.yaml"
DPFCTL = Path(sys.executable).with_name("dpfctl")


class DemoError(Exception):
    """A command of the demo failed; its own output has already said why."""


def main() -> int:
    """Run the demo; 0 when the DPUService became Ready."""
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
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    total = parts_s + platform_s + service_s
    print(
        f"\nThe platform goes on running: `eval \"$({typed(DPFCTL)} local env)\"` points kubectl at it, "
        f"`{typed(DPFCTL)} local down` removes it."
    )
    print(
        f"demo: ready in {total:.1f} s (parts {parts_s:.1f} s, platform {platform_s:.1f} s, service {service_s:.1f} s)"
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
