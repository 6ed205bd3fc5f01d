"""How a card is shown to people."""

from __future__ import annotations

from typing import Any

import pytest

from dpf.local.platform import status

CARD = {
    "mode": "DpuMode", "boot": "OsIsRunning", "installs": [{}], "node": "dpu-a", "problem": "", "host": "",
    "address": "127.64.0.1:443", "faults": {"busy": 0, "silent": False},
}


@pytest.mark.parametrize(("change", "text"), [
    ({}, "DpuMode, OsIsRunning, 1 installs, Node dpu-a, BMC 127.64.0.1:443"),
    ({"host": "worker-1", "boot": "", "node": "", "installs": []},
     "DpuMode, no system runs, 0 installs, no Node, in worker-1"),
    ({"node": "", "problem": "it joins nothing"},
     "DpuMode, OsIsRunning, 1 installs, it joins nothing, BMC 127.64.0.1:443"),
    ({"faults": {"busy": 2, "silent": True}},
     "DpuMode, OsIsRunning, 1 installs, Node dpu-a, BMC 127.64.0.1:443, faults: busy=2, silent=True"),
], ids=["BMC", "host", "problem", "faults"])
def test_a_card_is_one_line(change: dict[str, Any], text: str) -> None:
    assert status.card_text({**CARD, **change}) == text
