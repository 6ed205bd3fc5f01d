"""DPUs that are installed on a platform of `support.platform`: looking at them, and doing things to their cards.

A card is called dpu-1, dpu-2 and so on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from tests.support.platform import Platform

from dpf.emulation.bmc.control import Deed, Request
from dpf.emulation.hardware import control
from dpf.local.platform import hardware

NAMESPACE = "dpf-operator-system"
CONFIG = "dpfoperatorconfig"
PATIENCE_S = 120.0


def get(platform: Platform, *arguments: str, dpu: bool = False) -> list[dict[str, Any]]:
    """Objects of one kind, or one."""
    found = json.loads(platform.kubectl("get", *arguments, "-o", "json", dpu=dpu).stdout)
    items: list[dict[str, Any]] = found.get("items", [found])
    return items


def dpus(platform: Platform) -> dict[str, dict[str, Any]]:
    """DPUs by the name of their card: by the host where there is one, else by the serial number."""
    known = cards(platform)
    by_host = {card["host"]: name for name, card in known.items() if card["host"]}
    by_serial = {card["serial"].lower(): name for name, card in known.items()}
    return {
        by_host.get(dpu["spec"]["dpuNodeName"]) or by_serial[dpu["spec"]["serialNumber"].lower()]: dpu
        for dpu in get(platform, "dpus", "-n", NAMESPACE)
    }


def devices(platform: Platform) -> dict[str, dict[str, Any]]:
    """DPUDevices by the name of their card, which has a BMC."""
    names = {card["serial"].lower(): name for name, card in cards(platform).items()}
    return {names[one["spec"]["serialNumber"].lower()]: one for one in get(platform, "dpudevices", "-n", NAMESPACE)}


def phases(platform: Platform) -> dict[str, str]:
    """Phases of DPUs that are not being deleted, by card."""
    return {
        card: dpu.get("status", {}).get("phase", "") for card, dpu in dpus(platform).items()
        if "deletionTimestamp" not in dpu["metadata"]
    }


def told(obj: dict[str, Any] | None, type_: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition; nothing where it is not there (yet)."""
    found = ((obj or {}).get("status") or {}).get("conditions") or []
    return next(((c["status"], c["reason"], c["message"]) for c in found if c["type"] == type_), ("", "", ""))


def cards(platform: Platform) -> dict[str, dict[str, Any]]:
    """What the cards say of themselves."""
    return ask(platform, Request(card=control.ALL))


def installs(platform: Platform) -> dict[str, list[str]]:
    """How every installation that a card has accepted ended, by card."""
    return {name: [one["outcome"] for one in card["installs"]] for name, card in cards(platform).items()}


def ask(platform: Platform, request: Request) -> dict[str, dict[str, Any]]:
    """Ask the machine room, faster than `dpfctl local fault` does."""
    return asyncio.run(control.ask(hardware.control_socket(platform.state), request))


def do(platform: Platform, card: str, deed: Deed) -> dict[str, Any]:
    """Something happens to a card; returns how it is then."""
    return ask(platform, Request(card=card, do=deed))[card]


def describe(platform: Platform) -> str:
    """What an operator on call looks at."""
    kubeconfig = platform.environment["HOST_KUBECONFIG"]
    return platform.dpfctl(
        "describe", "dpusets", "--show-conditions=failed", "--kubeconfig", kubeconfig, check=False,
    ).stdout


def until(
    platform: Platform, done: Callable[[], bool], *, patience_s: float = PATIENCE_S, every_s: float = 0.4,
) -> None:
    """Look until it is so; what system and cards say about it is part of the failure."""
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, f"{describe(platform)}\n{json.dumps(cards(platform), indent=1)}"
        time.sleep(every_s)


def fault(platform: Platform, card: str, *options: str) -> None:
    """`dpfctl local fault`."""
    platform.dpfctl("local", "fault", card, *options)


def delete(platform: Platform, *names: str) -> None:
    """The DPUs of these cards are deleted; their set makes them anew."""
    found = dpus(platform)
    platform.kubectl(
        "delete", "dpu", *(found[name]["metadata"]["name"] for name in names), "-n", NAMESPACE, "--timeout=60s",
    )


def limit(platform: Platform, text: str | None) -> None:
    """How long an installation may take; None: as long as usual."""
    value = "null" if text is None else f'"{text}"'
    patch = f'{{"spec": {{"provisioningController": {{"osInstallTimeout": {value}}}}}}}'
    platform.kubectl("patch", "dpfoperatorconfig", CONFIG, "-n", NAMESPACE, "--type=merge", "-p", patch)
