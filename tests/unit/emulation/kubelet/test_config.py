"""The configuration file: what is accepted, and what a person reads when it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpf.emulation.kubelet import config

JOIN = {"server": "https://127.0.0.1:6443", "tokenFile": "/x/token", "caPins": ["sha256:" + "0" * 64]}


def _node(name: str = "dpu-0", index: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": name, "index": index, "join": JOIN, **more}


def _text(**changes: Any) -> bytes:
    return json.dumps({"platform": "dpf1", "stateDir": "/x", "nodes": [_node()], **changes}).encode()


def test_defaults_are_enough_for_a_small_platform() -> None:
    parsed = config.parse(_text(), "nodes.json")
    assert parsed.network.nodeNetwork == "198.18.0.0/16"
    assert parsed.images[0].pattern == "*dummydpuservice:*"
    assert parsed.nodes[0].labels == {}


@pytest.mark.parametrize(("changes", "words"), [
    ({"platform": "Too-Long-Name"}, "platform 'Too-Long-Name' must be 1 to 7 characters"),
    ({"stateDir": "relative"}, "stateDir 'relative' must be an absolute path"),
    ({"nodes": [_node("UPPER")]}, "node name 'UPPER' must be lower-case"),
    ({"nodes": [_node(), _node(index=1)]}, "node dpu-0 is there twice"),
    ({"nodes": [_node(), _node("dpu-1")]}, "nodes dpu-0 and dpu-1 have the same index 0"),
    ({"nodes": [_node(index=256)]}, "index 256 must be between 0 and 255"),
    ({"network": {"nodeNetwork": "nonsense"}}, "write IPv4 networks such as 198.18.0.0/16"),
    ({"network": {"nodeNetwork": "198.19.0.0/24"}}, "nodeNetwork 198.19.0.0/24 and podNetwork 198.19.0.0/16 overlap"),
    ({"network": {"podPrefixLength": 30}}, "podPrefixLength 30 must be between 16 and 29"),
    ({"labels": {}}, "unknown field `labels`"),
    ({"nodes": [{"name": "x"}]}, "missing required field `index`"),
])
def test_says_what_is_wrong_and_where(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(_text(**changes), "nodes.json")
    assert str(caught.value).startswith("nodes.json: ")
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"cannot read the kubelet configuration .*absent\.json: No such file"):
        config.load(tmp_path / "absent.json")
