"""`python -m tools.standin --kubeconfig FILE`: runs the stand-ins until a signal."""

from __future__ import annotations

import argparse
import sys

from dpf.api import names
from dpf.runtime import logs, process
from tools.standin import controllers


def main() -> int:
    """Run them; 0 after a signal."""
    parser = argparse.ArgumentParser(prog="python -m tools.standin", description=controllers.__doc__)
    parser.add_argument("--kubeconfig", required=True, help="administrator of the host cluster")
    arguments = parser.parse_args()
    logs.configure(console=True, level="WARNING")
    return process.execute(process.run(
        controllers.build, kubeconfig=arguments.kubeconfig, metrics_address="", leader_election=False,
        name="standin", namespace=names.DPF_NAMESPACE,
    ))


if __name__ == "__main__":
    sys.exit(main())
