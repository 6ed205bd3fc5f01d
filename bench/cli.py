"""Start-up of dpfctl: wall seconds of whole processes, the median of several runs. Target: `--help` under 0.1 s."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

DPFCTL = Path(sys.executable).with_name("dpfctl")
COMMANDS = (("dpfctl --help", ("--help",)), ("dpfctl local --help", ("local", "--help")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=15)
    args, _ = parser.parse_known_args()
    results = {name: _seconds(arguments, args.runs) for name, arguments in COMMANDS}
    for name, seconds in results.items():
        print(f"{name:<24} median {statistics.median(seconds) * 1000:6.1f} ms  (min {min(seconds) * 1000:.1f})")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def _seconds(arguments: tuple[str, ...], runs: int) -> list[float]:
    found = []
    for _ in range(runs + 1):
        began = time.monotonic()
        subprocess.run([str(DPFCTL), *arguments], check=True, stdout=subprocess.DEVNULL)
        found.append(time.monotonic() - began)
    return found[1:]


if __name__ == "__main__":
    main()
