"""bf.cfg as it is written for a card (behaviour-provisioning.md section 16, scenario 48).

The files are for reading, as whoever debugs a card would. `UPDATE_GOLDEN=1` writes them anew; read the difference, line
by line, before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support import dpuflavors as some

from dpf.api.dpuflavor import DPUFlavor
from dpf.api.provisioning import InstallInterface
from dpf.provisioning.flavor.facts import DPUFacts
from dpf.provisioning.flavor.render import render

HERE = Path(__file__).parent
LABELS = {"provisioning.dpu.nvidia.com/dpunode-name": "worker1", "rack": "b-100"}


@pytest.mark.parametrize(("file", "flavor", "dpu"), [
    ("empty.cfg", some.a_flavor("empty"), some.a_dpu()),
    ("full.cfg", some.a_full_flavor(), some.a_dpu(
        node_labels=LABELS, control_plane_mtu=1400, high_speed_mtu=9000, doca_version="2.9.1",
    )),
    ("password.cfg", some.a_flavor("password", bfcfgParameters=[
        "UPDATE_DPU_OS=yes", f"ubuntu_PASSWORD='{some.PASSWORD_HASH}'", "WITH_NIC_FW_UPDATE=yes",
    ]), some.a_dpu()),
    ("redfish.cfg", some.a_flavor("redfish", sysctl={"parameters": ["vm.swappiness=10"]}), some.a_dpu(
        install_interface=InstallInterface.REDFISH, host_name=None, additional_reboot=True,
    )),
    ("agent.cfg", some.a_flavor("agent", nvconfig=[{"device": "*", "parameters": ["PF_TOTAL_SF=20"]}]), some.a_dpu(
        install_interface=InstallInterface.REDFISH, host_name=None, agent=some.AGENT,
    )),
])
def test_bfcfg_is_as_it_was_read(file: str, flavor: DPUFlavor, dpu: DPUFacts) -> None:
    rendered = render(flavor, dpu)
    assert rendered.problems == ()
    assert rendered.bf_cfg is not None
    if os.environ.get("UPDATE_GOLDEN"):
        (HERE / file).write_bytes(rendered.bf_cfg)
    assert rendered.bf_cfg.decode() == (HERE / file).read_bytes().decode()
