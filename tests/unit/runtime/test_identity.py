"""Identities of processes: readable, unique, and honest about who is gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dpf.runtime import identity


def test_an_identity_names_host_place_and_process() -> None:
    host, place, pid, started, random = identity.new_identity(lambda: 0.5).rsplit("_", 4)
    assert host
    assert len(place) == 8
    assert pid == str(os.getpid())
    assert started.isdecimal()
    assert random == "80000000"


def test_a_living_process_is_not_gone() -> None:
    assert not identity.is_gone(identity.new_identity(lambda: 0.1))


def test_a_process_that_has_ended_is_gone() -> None:
    program = "from dpf.runtime import identity; print(identity.new_identity(lambda: 0.1))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert identity.is_gone(ended.stdout.strip())


def test_a_later_process_of_the_same_pid_is_another_one() -> None:
    host, place, pid, started, random = identity.new_identity(lambda: 0.1).rsplit("_", 4)
    assert identity.is_gone(f"{host}_{place}_{pid}_{int(started) - 1}_{random}")


@pytest.mark.parametrize("text", ["", "pod-1_3f2a9c11", "host_00000000_1_1_00000000", "a_b_c_d_e"])
def test_of_an_identity_from_elsewhere_nothing_is_concluded(text: str) -> None:
    assert not identity.is_gone(text)
