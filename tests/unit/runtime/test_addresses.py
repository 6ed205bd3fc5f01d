"""How far inside a network an address lies."""

from __future__ import annotations

import pytest

from dpf.runtime.addresses import Reach, reach


@pytest.mark.parametrize(("address", "where"), [
    ("8.8.8.8", Reach.PUBLIC),
    ("2606:4700::1111", Reach.PUBLIC),
    ("93.184.216.34", Reach.PUBLIC),
    ("2606:4700::1", Reach.PUBLIC),
    ("10.1.2.3", Reach.PRIVATE),
    ("192.168.0.1", Reach.PRIVATE),
    ("10.0.0.1", Reach.PRIVATE),
    ("192.168.1.1", Reach.PRIVATE),
    ("100.64.0.1", Reach.PRIVATE),
    ("fd00::1", Reach.PRIVATE),
    ("127.0.0.1", Reach.LOCAL),
    ("127.255.0.1", Reach.LOCAL),
    ("0.0.0.0", Reach.LOCAL),
    ("169.254.169.254", Reach.LOCAL),
    ("224.0.0.1", Reach.LOCAL),
    ("255.255.255.255", Reach.LOCAL),
    ("::1", Reach.LOCAL),
    ("::", Reach.LOCAL),
    ("fe80::1", Reach.LOCAL),
    ("fe80::1%eth0", Reach.LOCAL),
    ("::ffff:127.0.0.1", Reach.LOCAL),
    ("::ffff:10.0.0.1", Reach.PRIVATE),
    ("::ffff:8.8.8.8", Reach.PUBLIC),
    ("64:ff9b::7f00:1", Reach.LOCAL),
    ("64:ff9b::808:808", Reach.PUBLIC),
    ("2002:7f00:1::", Reach.LOCAL),
])
def test_reach(address: str, where: Reach) -> None:
    assert reach(address) is where


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "127.1", "0x7f000001", "2130706433"])
def test_what_is_no_address_is_not_judged(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        reach(text)
