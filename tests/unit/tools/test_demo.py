"""What `make demo` refuses before it starts anything."""

from __future__ import annotations

import pytest
from tools import demo


@pytest.mark.parametrize(("dpus", "interface", "words"), [
    ("2", "none", "INSTALL_INTERFACE is gnoi or redfish, not 'none'"),
    ("1", "gnoi", "DPUS is a number from 2, not '1'"), ("two", "gnoi", "DPUS is a number from 2, not 'two'"),
    ("0", "redfish", "DPUS is a number from 1, not '0'"),
])
def test_what_would_fail_in_the_middle_is_said_at_once(
    dpus: str, interface: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DPUS", dpus)
    monkeypatch.setenv("INSTALL_INTERFACE", interface)
    assert demo.main() == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"demo: {words}")
    assert said.out == "", "no command was run"


@pytest.mark.parametrize(("dpus", "interface"), [("2", "gnoi"), ("64", "gnoi"), ("1", "redfish")])
def test_what_can_be(dpus: str, interface: str) -> None:
    demo.check(dpus, interface)
