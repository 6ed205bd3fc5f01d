"""Repository mirrors: parsing of the settings, and which URLs they concern."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.runtime import mirrors

SETTINGS = (
    "https://charts.example.com/stable=https://mirror.example.org/charts/",
    "https://charts.example.com/stable/net=oci://registry.example.org/net",
    "https://charts.example.com:8443=https://odd.example.org",
    "oci://nvcr.example.com=https://mirror.example.org:9443/nvcr",
)


@pytest.mark.parametrize(
    ("url", "mirrored"),
    [
        pytest.param("https://charts.example.com/stable", "https://mirror.example.org/charts", id="the prefix itself"),
        pytest.param("https://charts.example.com/stable/", "https://mirror.example.org/charts", id="slash at the end"),
        pytest.param(
            "https://charts.example.com/stable/a/b", "https://mirror.example.org/charts/a/b", id="below the prefix"
        ),
        pytest.param("https://charts.example.com/stable/net", "oci://registry.example.org/net", id="longest wins"),
        pytest.param("https://Charts.Example.com:443/stable/net/x", "oci://registry.example.org/net/x", id="spelling"),
        pytest.param("https://charts.example.com:8443/any", "https://odd.example.org/any", id="whole host"),
        pytest.param("oci://nvcr.example.com/dpf", "https://mirror.example.org:9443/nvcr/dpf", id="oci"),
    ],
)
def test_a_repository_below_a_prefix_is_asked_at_its_mirror(url: str, mirrored: str) -> None:
    assert mirrors.parse(SETTINGS).apply(url) == mirrored


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://charts.example.com/stable2", id="not at a segment's end"),
        pytest.param("https://charts.example.com/STABLE", id="paths have case"),
        pytest.param("https://charts.example.com/", id="above the prefix"),
        pytest.param("https://charts.example.com.evil.example/stable", id="another host"),
        pytest.param("https://charts.example.com:444/stable", id="another port"),
        pytest.param("oci://charts.example.com/stable", id="another scheme"),
        pytest.param("https://charts.example.com/stable/../secret", id="leads out"),
        pytest.param("https://charts.example.com/stable/%2E./secret", id="leads out, encoded"),
        pytest.param("https://user:word@charts.example.com/stable", id="credentials"),
        pytest.param("https://charts.example.com/stable?x=1", id="query"),
        pytest.param("https://charts.example.com:port/stable", id="no port"),
        pytest.param("https://[", id="no URL"),
        pytest.param("", id="nothing"),
    ],
)
def test_any_other_url_stays_as_it_is(url: str) -> None:
    assert mirrors.parse(SETTINGS).apply(url) == url


def test_the_result_is_not_mirrored_again() -> None:
    both = mirrors.parse(["https://a.example=https://b.example", "https://b.example=https://a.example"])
    assert both.apply("https://a.example/x") == "https://b.example/x"


def test_no_settings_change_nothing() -> None:
    assert not mirrors.parse([])
    assert mirrors.Mirrors().apply("https://a.example/x/") == "https://a.example/x/"


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("https://a.example", "expected <prefix>=<mirror>"),
        ("", "expected <prefix>=<mirror>"),
        ("=https://a.example", "the prefix must be https:// or oci://"),
        ("https://a.example=", "the mirror must be https:// or oci://"),
        ("https://a.example=http://b.example", "the mirror must be https:// or oci://"),
        ("file:///etc=https://b.example", "the prefix must be https:// or oci://"),
        ("https://a.example=file:///etc", "the mirror must be https:// or oci://"),
        ("https:///x=https://b.example", "the prefix must be https:// or oci://"),
        ("https://a.example/../x=https://b.example", "without '.' or '..'"),
        ("https://a.example:x=https://b.example", "the prefix must be"),
        ("https://[=https://b.example", "the prefix is not a URL"),
        ("https://a.example=https://b.example?x=1", "the mirror has a query"),
        ("https://a.example=https://b .example", "the mirror has white space"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_its_position(setting: str, text: str) -> None:
    with pytest.raises(mirrors.MirrorError) as caught:
        mirrors.parse(["https://fine.example=https://b.example", setting])
    assert str(caught.value).startswith("repository mirror 2: ")
    assert text in str(caught.value)


def test_the_same_prefix_twice_is_refused() -> None:
    with pytest.raises(mirrors.MirrorError, match="repository mirror 2: an earlier one has the same prefix"):
        mirrors.parse(["https://a.example/x=https://b.example", "https://A.example:443/x/=https://c.example"])


@pytest.mark.parametrize(
    "setting",
    ["https://me:hunter2@a.example=https://b.example", "https://a.example=https://me:hunter2@b.example"],
)
def test_credentials_in_a_setting_are_refused_and_not_repeated(setting: str) -> None:
    with pytest.raises(mirrors.MirrorError, match="repository Secret") as caught:
        mirrors.parse([setting])
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(mirrors.parse(SETTINGS).apply("https://charts.example.com/" + text), str)
    with contextlib.suppress(mirrors.MirrorError):
        mirrors.parse([text])
