"""What a registry demands with a 401, and who may see its password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf.services.helm import challenge
from dpf.services.helm.challenge import Basic, Bearer

PARAMETERS = 'realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"'
TOKEN = Bearer(realm="https://auth.example/token", service="registry.example", scope="repository:a/b:pull,push")


@pytest.mark.parametrize(("headers", "chosen"), [
    pytest.param(
        [f"Bearer {PARAMETERS}"], TOKEN, id="as the specification writes it",
    ),
    pytest.param(
        ['bearer  realm="https://auth.example/token" , Service = registry.example , scope="repository:a/b:pull,push"'],
        TOKEN, id="other spelling",
    ),
    pytest.param(
        [f'Basic realm="x", Bearer {PARAMETERS}'], TOKEN, id="two in one header",
    ),
    pytest.param(['Basic realm="x"', 'Bearer realm="https://a"'], Bearer(realm="https://a"), id="two headers"),
    pytest.param([r'Bearer realm="https://a/\"q\""'], Bearer(realm='https://a/"q"'), id="escapes"),
    pytest.param(['Basic realm="x"'], Basic(), id="password"),
    pytest.param(["Basic"], Basic(), id="bare"),
    pytest.param(["Bearer"], None, id="a token from nowhere"),
    pytest.param(['Negotiate', 'Digest realm="x", nonce="y"'], None, id="what we do not speak"),
    pytest.param([""], None, id="empty"),
    pytest.param([], None, id="none"),
    pytest.param(['Bearer realm="https://a'], None, id="cut off"),
])
def test_choose(headers: list[str], chosen: Basic | Bearer | None) -> None:
    assert challenge.choose(headers) == chosen


@given(st.lists(st.text(), max_size=3))
def test_no_header_breaks_it(headers: list[str]) -> None:
    challenge.choose(headers)


@pytest.mark.parametrize(("registry", "realm", "akin"), [
    ("ghcr.io", "ghcr.io", True),
    ("registry-1.docker.io", "auth.docker.io", True),
    ("registry.gitlab.com", "gitlab.com", True),
    ("127.0.0.1", "127.0.0.1", True),
    ("ghcr.io", "evil.example", False),
    ("ghcr.io", "nvcr.io", False),
    ("registry.example.com", "registry.example.com.evil.net", False),
    ("registry.example.com", "evilexample.com", False),
    ("127.0.0.1", "127.0.0.2", False),
    ("10.0.0.1", "0.0.1", False),
    ("::1", "::2", False),
    ("localhost", "example", False),
])
def test_a_password_goes_no_further_than_the_site(registry: str, realm: str, akin: bool) -> None:
    assert challenge.is_akin(registry, realm) is akin
