"""`python -m bench.kube [--json FILE] [--objects N] [--events N] [--uvloop]`: see `measure`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from bench.kube import measure
from bench.kube.canned import OBJECT_BYTES


def main() -> None:
    parser = argparse.ArgumentParser(description=measure.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--uvloop", action="store_true", help="with the optional faster event loop")
    args = parser.parse_args()
    results = measure.run(args.objects, args.events, args.uvloop)
    print(f"{args.objects:,} objects of {OBJECT_BYTES:,} bytes, {args.events:,} events")
    for result in results:
        print(result)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
