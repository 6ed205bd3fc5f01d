"""Which URLs are taken, what is shown of them, and where a redirect may lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.provisioning.bfb import sources
from dpf.provisioning.bfb.sources import SourceError
from dpf.runtime.addresses import Reach

HOME = sources.parse("http://files.example.com/x.bfb")


@pytest.mark.parametrize(("url", "shown", "target"), [
    ("http://internal-nfs/bf-bundle-2.9.0-33_24.04_ubuntu-22.04_unsigned.bfb", "http://internal-nfs",
     "/bf-bundle-2.9.0-33_24.04_ubuntu-22.04_unsigned.bfb"),
    ("https://h:443/x.bfb", "https://h", "/x.bfb"),
    ("https://h:8443/x.bfb?token=t#f", "https://h:8443", "/x.bfb?token=t"),
    ("http://me:secret@h/x.bfb", "http://h", "/x.bfb"),
    ("http://[2001:db8::1]:80/x.bfb", "http://[2001:db8::1]", "/x.bfb"),
    ("http://h", "http://h", "/"),
])
def test_url(url: str, shown: str, target: str) -> None:
    source = sources.parse(url)
    assert (str(source), source.target) == (shown, target)
    assert "secret" not in repr(source) + str(source) + source.url


@pytest.mark.parametrize("url", [
    "", "x.bfb", "ftp://h/x.bfb", "http://", "http:///x.bfb", "http://[bad/x.bfb", "http://h:99999/x.bfb", "http://h:a/x",
    "http://h/a\r\nb", "http://h /x", "http://" + "a" * 64 + ".example/x", "file:///etc/passwd",
])
def test_no_url(url: str) -> None:
    with pytest.raises(SourceError):
        sources.parse(url)


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        source = sources.parse(f"http://{text}")
    except SourceError:
        return
    assert source.host
    assert 0 <= source.port < 65536


@pytest.mark.parametrize(("floor", "address", "allowed"), [
    (Reach.PUBLIC, "93.184.216.34", True), (Reach.PUBLIC, "10.0.0.1", False), (Reach.PUBLIC, "169.254.169.254", False),
    (Reach.PRIVATE, "10.0.0.1", True), (Reach.PRIVATE, "127.0.0.1", False), (Reach.LOCAL, "127.0.0.1", True),
    (Reach.PRIVATE, "93.184.216.34", True), (Reach.PUBLIC, "64:ff9b::10.0.0.1", False),
])
def test_a_redirect_leads_no_further_inside(floor: Reach, address: str, allowed: bool) -> None:
    stranger = sources.parse("http://elsewhere.example.com/y.bfb")
    if allowed:
        assert sources.admit(stranger, [address], floor, home=HOME) is floor
    else:
        with pytest.raises(SourceError, match="further inside this network"):
            sources.admit(stranger, [address], floor, home=HOME)


def test_the_server_that_the_user_named_may_be_anywhere() -> None:
    assert sources.admit(HOME, ["127.0.0.1"], None, home=HOME) is Reach.LOCAL
    assert sources.admit(HOME, ["127.0.0.1"], Reach.PUBLIC, home=HOME) is Reach.PUBLIC
