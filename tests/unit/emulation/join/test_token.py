"""The form of bootstrap tokens, and that they do not leak."""

from __future__ import annotations

import pytest

from dpf.emulation.join import errors, token

SECRET = "0123456789abcdef"


def test_parses_and_ignores_white_space() -> None:
    parsed = token.parse(f"  abcdef.{SECRET}\n")
    assert (parsed.id, parsed.secret, parsed.bearer) == ("abcdef", SECRET, f"abcdef.{SECRET}")


@pytest.mark.parametrize("text", [
    "", "abcdef", f"abcde.{SECRET}", f"ABCDEF.{SECRET}", f"abcdef.{SECRET}0", f"abcdef:{SECRET}", f"abcdef.{SECRET}.x",
], ids=["empty", "no dot", "short id", "upper case", "long secret", "wrong separator", "three parts"])
def test_refuses_other_forms_without_repeating_them(text: str) -> None:
    with pytest.raises(errors.InvalidJoinConfig, match="malformed") as caught:
        token.parse(text)
    assert SECRET not in str(caught.value)


def test_shows_only_the_id() -> None:
    parsed = token.parse(f"abcdef.{SECRET}")
    assert SECRET not in f"{parsed} {parsed!r}"
    assert "abcdef" in str(parsed)
