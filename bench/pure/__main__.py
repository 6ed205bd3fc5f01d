"""Parses per second of version constraints and quantities. Each text is different, so nothing is remembered.

Target: 100,000 per second. The median of several rounds; `--json FILE` writes all rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from dpf.kube import quantities
from dpf.services.versions import constraint, version

CONSTRAINTS = (">= 2.{0}", "~{0}.9", "^1.{0}.3", ">=2.{0}.0-0 <3.0", "{0}.x", "2.7 - 2.{0}", "<=2.{0} || 4")
VERSIONS = ("2.{0}.1", "v2.{0}", "2.9.{0}-rc.1", "{0}", "2.{0}.0+5114f85")
QUANTITIES = ("{0}m", "{0}", "{0}.5Gi", "{0}Mi", "{0}e3", "0.{0}")

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=7)
    args, _ = parser.parse_known_args()
    parsed = [quantities.parse(text) for text in _texts(QUANTITIES, args.texts)]
    accepted, candidate = [constraint.parse(text) for text in _texts(CONSTRAINTS, args.texts)], version.parse("2.9.1")
    results = {
        "constraint.parse": _rates(constraint.parse, _texts(CONSTRAINTS, args.texts), args.runs),
        "Constraint.allows": _rates(lambda one: one.allows(candidate), accepted, args.runs),
        "version.parse": _rates(version.parse, _texts(VERSIONS, args.texts), args.runs),
        "quantities.parse": _rates(quantities.parse, _texts(QUANTITIES, args.texts), args.runs),
        "quantities.canonical": _rates(quantities.canonical, parsed, args.runs),
    }
    for name, rates in results.items():
        print(f"{name:<24} median {statistics.median(rates):>11,.0f}/s  (min {min(rates):,.0f})")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def _texts(forms: Sequence[str], count: int) -> list[str]:
    return [forms[index % len(forms)].format(index) for index in range(count)]


def _rates(function: Callable[[T], object], arguments: Sequence[T], runs: int) -> list[float]:
    """One rate for each round over all arguments; the first round only warms up."""
    found = []
    for _ in range(runs + 1):
        began = time.monotonic()
        for argument in arguments:
            function(argument)
        found.append(len(arguments) / (time.monotonic() - began))
    return found[1:]


if __name__ == "__main__":
    main()
