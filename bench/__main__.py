"""`make bench`: every area, one after the other, on an otherwise idle machine; JSON goes to bench/results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AREAS = ("kube", "reconcile", "pure", "cli", "services", "provisioning", "platform")
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for area in AREAS:
        print(f"\n== {area}", flush=True)
        argv = [sys.executable, "-m", f"bench.{area}", "--json", str(RESULTS / f"{area}.json"), *sys.argv[1:]]
        if subprocess.run(argv, check=False).returncode != 0:
            failed.append(area)
    if failed:
        print(f"\nnot measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
