"""What a card makes of the bytes that were flashed: of those that we render, and of any others."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import dpuflavors as some

from dpf.api.provisioning import InstallInterface
from dpf.emulation.agent.config import AgentConfig, Setup
from dpf.emulation.dpu.cloudconfig import ConfigError
from dpf.emulation.dpu.config import DPUConfig, FirmwareSetting, parse_bfcfg
from dpf.provisioning.flavor.render import render

PIN = "sha256:" + "a" * 64
JOIN = f"kubeadm join 192.0.2.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash {PIN}"
JOINING_USER_DATA = f"""\
#cloud-config
hostname: dpu-7
write_files:
- path: /opt/join
  content: |
    {JOIN}
runcmd:
- bash /opt/join
"""


def rendered(flavor: Any = None, **facts: Any) -> bytes:
    data = render(flavor or some.a_flavor(), some.a_dpu(**facts)).bf_cfg
    assert data is not None
    return data


def around(user_data: str, *, before: str = "") -> bytes:
    """bf.cfg as somebody else might write it."""
    return (
        f"{before}function bfb_modify_os ()\n{{\n  cat << \"EOF\" > /mnt/var/lib/cloud/seed/nocloud-net/user-data\n"
        f"{user_data}EOF\n}}\n"
    ).encode()


def booted(user_data: str) -> DPUConfig:
    return parse_bfcfg(around(user_data))


def test_a_full_flavor_arrives_whole() -> None:
    labels = {"rack": "b-100", "example.com/a": ""}
    found = parse_bfcfg(rendered(some.a_full_flavor(), node_labels=labels, additional_reboot=True))

    assert (found.node_name, found.host_name) == ("worker1-0000-2b-00", "worker1-0000-2b-00")
    assert found.join.server == "https://10.0.110.10:30443"
    assert found.join.token.bearer == some.TOKEN
    assert found.join.pins == {some.PIN}
    assert found.join_command == some.JOIN.command("worker1-0000-2b-00")
    assert found.join_interface == "br-comm-ch"
    assert found.labels == {**labels, "provisioning.dpu.nvidia.com/host": "worker1"}
    assert found.sysctl == {
        "net.bridge.bridge-nf-call-ip6tables": "1", "net.bridge.bridge-nf-call-iptables": "1",
        "net.ipv4.ip_forward": "1", "vm.nr_overcommit_hugepages": "16", "vm.swappiness": "10",
    }
    assert found.kernel_parameters == (
        "console=hvc0", "hugepagesz=2048kB", "hugepages=3072", 'dyndbg="file', "$a.c", '+p"'
    )
    assert found.firmware == (
        FirmwareSetting(devices="/dev/mst/*_pciconf0", key="PF_TOTAL_SF", value="20"),
        FirmwareSetting(devices="/dev/mst/*_pciconf0", key="NUM_OF_VFS", value="46"),
        FirmwareSetting(devices="/dev/mst/*_pciconf0.1", key="PF_TOTAL_SF", value="4"),
        FirmwareSetting(devices="/dev/mst/*_pciconf0.1", key="ODD", value="$(reboot)"),
    )
    assert found.sf_count == 20
    assert found.reboots
    assert found.parameters == ("UPDATE_ATF_UEFI=yes", "WITH_NIC_FW_UPDATE=yes")
    assert found.files["/opt/dpf/ovs.sh"].content == some.OVS_SCRIPT.encode()
    assert found.files["/etc/mellanox/mlnx-sf.conf"].content == b""


def test_files_are_appended_and_keep_blank_lines_dollars_and_modes() -> None:
    file = parse_bfcfg(rendered(some.a_full_flavor())).files["/etc/mellanox/mlnx-bf.conf"]
    raw = [entry["raw"] for entry in some.FULL_SPEC["configFiles"][:2]]
    assert file.content == "".join(raw).encode()
    assert b"\n\n\nHOME_OF=$HOME `id`" in file.content
    assert file.mode == 0o600


def test_an_empty_flavor_joins_and_sets_nothing_of_its_own() -> None:
    found = parse_bfcfg(rendered())
    assert (found.kernel_parameters, found.firmware, found.sf_count, found.reboots) == ((), (), 0, False)
    assert "vm.swappiness" not in found.sysctl


def test_a_card_installed_by_redfish_waits_for_its_own_port() -> None:
    assert parse_bfcfg(rendered(install_interface=InstallInterface.REDFISH)).join_interface == "oob_net0"


def test_the_last_setting_of_the_kernel_is_the_flavors() -> None:
    flavor = some.a_flavor(sysctl={"parameters": ["net.bridge.bridge-nf-call-iptables=0"]})
    assert parse_bfcfg(rendered(flavor)).sysctl["net.bridge.bridge-nf-call-iptables"] == "0"


def test_bytes_that_others_wrote_are_followed_just_as_well() -> None:
    found = parse_bfcfg(around(JOINING_USER_DATA, before="A=1\n"))
    assert (found.node_name, found.join_interface, found.parameters) == ("dpu-7", None, ("A=1",))
    assert found.join_command[:3] == ("kubeadm", "join", "192.0.2.1:6443")


def test_only_the_last_definition_of_the_installers_function_counts() -> None:
    other = around(JOINING_USER_DATA.replace("dpu-7", "dpu-8")).decode()
    assert parse_bfcfg(around(JOINING_USER_DATA, before=other)).node_name == "dpu-7"


def test_base64_is_understood() -> None:
    user_data = JOINING_USER_DATA.replace("write_files:", "write_files:\n- {path: /a, encoding: b64, content: AP8=}")
    assert booted(user_data).files["/a"].content == b"\x00\xff"


def test_a_script_that_nothing_runs_has_no_effect() -> None:
    with pytest.raises(ConfigError, match="joins no cluster"):
        booted(JOINING_USER_DATA.replace("- bash /opt/join", "- echo /opt/join"))


def test_a_unit_that_is_not_enabled_has_no_effect() -> None:
    data = rendered(some.a_full_flavor()).replace(b"dpf-configure-sfs.service, dpf-ovs", b"dpf-ovs")
    assert parse_bfcfg(data).sf_count == 0
    with pytest.raises(ConfigError, match="joins no cluster"):
        parse_bfcfg(rendered().replace(b"dpf-join-cluster.service]", b"other.service]"))


def test_kernel_parameters_count_only_in_a_new_boot_menu() -> None:
    data = rendered(some.a_full_flavor())
    assert parse_bfcfg(data.replace(b"update-grub", b"true")).kernel_parameters == ()


@pytest.mark.parametrize(("data", "text"), [
    (b"", "no function bfb_modify_os"),
    (b"\xff\xfe", "not UTF-8"),
    (rendered()[:-3000], "cut off"),
    (b"A=<<X\n", "cut off"),
    (around(JOINING_USER_DATA).replace(b"bfb_modify_os", b"other"), "no function bfb_modify_os"),
    (around(JOINING_USER_DATA.replace("runcmd", "$x: 1\nruncmd")).replace(b'"EOF"', b"EOF"), "not quoted"),
    (around(JOINING_USER_DATA.replace("#cloud-config", "#!/bin/sh")), "begin with #cloud-config"),
    (around("#cloud-config\n[1\n"), "not valid YAML"),
    (around("#cloud-config\na: &a [1]\nb: *a\n"), "aliases"),
    (around("#cloud-config\n" + "[" * 100 + "\n"), "user-data"),
    (around("#cloud-config\n- 1\n"), "no mapping"),
    (around("#cloud-config\nwrite_files: 1\n"), "write_files of cloud-init's user-data is no list"),
    (around("#cloud-config\nwrite_files: [1]\n"), "no absolute path"),
    (around("#cloud-config\nwrite_files: [{path: a}]\n"), "no absolute path"),
    (around("#cloud-config\nwrite_files: [{path: /a, content: [1]}]\n"), "no text"),
    (around("#cloud-config\nwrite_files: [{path: /a, content: '?', encoding: b64}]\n"), "not base64"),
    (around("#cloud-config\nwrite_files: [{path: /a, encoding: gzip}]\n"), "not supported"),
    (around("#cloud-config\nwrite_files: [{path: /a, permissions: rw}]\n"), "no octal"),
    (around("#cloud-config\nruncmd: {a: 1}\n"), "runcmd of cloud-init's user-data is no list"),
    (around("#cloud-config\nruncmd: [[[a]]]\n"), "neither a text nor a list"),
    (around("#cloud-config\nruncmd: ['a \"b']\n"), "quotation"),
    (around("#cloud-config\n"), "no mapping"),
    (around("#cloud-config\nhostname: a\n"), "joins no cluster"),
    (around(JOINING_USER_DATA.replace("--token abcdef.0123456789abcdef", "")), "needs a server and one --token"),
    (around(JOINING_USER_DATA.replace("192.0.2.1:6443 ", "")), "needs a server and one --token"),
    (around(JOINING_USER_DATA.replace("0123456789abcdef", "SECRET")), "token is malformed"),
    (around(JOINING_USER_DATA.replace(PIN, "sha256:12")), "pin"),
    (around(JOINING_USER_DATA.replace("--discovery-token-ca-cert-hash", "--other")), "no CA pin"),
])
def test_bytes_that_no_card_could_boot_are_told_without_repeating_them(data: bytes, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        parse_bfcfg(data)
    assert "SECRET" not in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def test_what_may_be_logged_of_a_card_holds_no_secret() -> None:
    flavor = some.a_flavor(
        bfcfgParameters=["BMC_PASSWORD=hidden", "ubuntu_PASSWORD=$6$hidden$hidden"],
        configFiles=[{"path": "/a", "raw": "hidden"}],
    )
    found = parse_bfcfg(rendered(flavor))
    assert "hidden" in "".join(found.parameters)
    assert "hidden" not in repr(found)
    assert some.TOKEN not in repr(found)
    assert {field.name for field in dataclasses.fields(found) if not field.repr} == {
        "join_command", "user_data", "parameters"
    }


def agent_of(flavor: Any = None, **facts: Any) -> AgentConfig | None:
    return parse_bfcfg(rendered(flavor, agent=some.AGENT, **facts)).agent


def test_an_agent_finds_what_it_was_told() -> None:
    found = agent_of()
    assert found is not None
    assert (found.namespace, found.name, found.uid) == (
        some.NAMESPACE, "worker1-0000-2b-00", "8f3c6a0e-6c0f-4d7a-9a5e-2b7c1d0e9f11"
    )
    assert (found.server, found.ca_pem.decode(), found.user, found.groups) == (
        some.AGENT.server, some.AGENT.ca_pem, some.AGENT.user, some.AGENT.groups
    )
    assert found.token.bearer == some.AGENT_TOKEN
    assert some.AGENT_TOKEN.partition(".")[2] not in repr(found)


def test_without_an_agent_in_the_bfcfg_none_runs() -> None:
    assert parse_bfcfg(rendered()).agent is None


@pytest.mark.parametrize(("spec", "reboot", "setup"), [
    ({}, False, Setup(has_firmware_settings=False, needs_reboot=False, delays_host=False)),
    ({"nvconfig": [{"device": "*", "parameters": ["PF_TOTAL_SF=20"]}]}, False,
     Setup(has_firmware_settings=True, needs_reboot=False, delays_host=False)),
    ({"nvconfig": [{"device": "*", "parameters": ["DELAY_HOST_OS_INIT=1"]}]}, False,
     Setup(has_firmware_settings=True, needs_reboot=False, delays_host=True)),
    ({"nvconfig": [{"device": "*", "parameters": ["DELAY_HOST_OS_INIT=False"]}]}, False,
     Setup(has_firmware_settings=True, needs_reboot=False, delays_host=False)),
    ({"grub": {"kernelParameters": ["quiet"]}}, False,
     Setup(has_firmware_settings=False, needs_reboot=True, delays_host=False)),
    ({"grub": {"kernelParameters": ["quiet"]}}, True,
     Setup(has_firmware_settings=False, needs_reboot=False, delays_host=False)),
    ({"sysctl": {"parameters": ["vm.swappiness=1"]}}, False,
     Setup(has_firmware_settings=False, needs_reboot=False, delays_host=False)),
], ids=["empty", "firmware", "delayed", "not delayed", "kernel", "kernel, restarted already", "sysctl"])
def test_an_agent_knows_what_its_dpu_was_set_up_with(spec: dict[str, Any], reboot: bool, setup: Setup) -> None:
    found = agent_of(some.a_flavor(**spec), additional_reboot=reboot)
    assert found is not None
    assert found.setup == setup


@pytest.mark.parametrize(("replacing", "by", "why"), [
    ("path: /opt/dpf/dpuagent.conf", "path: /elsewhere", "dpuagent.conf is no mapping"),
    ("path: /opt/dpf/bootstrap-kubeconfig", "path: /elsewhere", "bootstrap kubeconfig"),
    (f"token: {some.AGENT_TOKEN}", "token: short", "malformed"),
    ("    user: da-worker1-0000-2b-00", "    nobody: x", "does not say user"),
    ("    dpu:", "    card:", "needs the mapping dpu"),
    ("    - dpf:dpu-agents", "    - ''", "the list groups"),
    ("    user: da-worker1", f"    user: {'x' * 65}", "room for a user of 64 characters"),
    ("certificate-authority-data: LS0t", "certificate-authority-data: AAAA", "is no certificate"),
    ("certificate-authority-data:", "nothing:", "needs a server with https:// and its CA"),
])
def test_an_agent_that_cannot_begin_says_why_and_quotes_no_secret(replacing: str, by: str, why: str) -> None:
    data = rendered(agent=some.AGENT)
    assert replacing in data.decode()
    with pytest.raises(ConfigError) as caught:
        parse_bfcfg(data.decode().replace(replacing, by).encode())
    assert why in str(caught.value)
    assert some.AGENT_TOKEN.partition(".")[2] not in str(caught.value)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LIKELY_TEXT = st.text(st.sampled_from(
    "ab\n\n \t$`'\"\\:#-|>{}[]%@&*!?,=\r\x00\x7f\x85\xa0\u2028\u2029\ufeffä\U0001f600"
))
AWKWARD_LINES = st.lists(st.sampled_from([
    "EOF", "DPF_USER_DATA", "}", "bfb_modify_os()", "cat <<EOF", "---", "...", "- a: b", "%YAML 1.1", "  x", "x  ", "",
    "#cloud-config", "${A}", "<<'DPF_USER_DATA'", "null", "0x10", "=", "~", "kubeadm", "on",
])).map("\n".join)


@settings(max_examples=150, deadline=None)
@given(contents=st.lists(ANY_TEXT | LIKELY_TEXT | AWKWARD_LINES, min_size=1, max_size=3), append=st.booleans())
def test_any_content_of_a_file_survives_byte_for_byte(contents: list[str], append: bool) -> None:
    operation = "append" if append else "override"
    flavor = some.a_flavor(
        configFiles=[{"path": "/etc/any", "raw": raw, "operation": operation} for raw in contents]
    )
    found = parse_bfcfg(rendered(flavor, skip_size_check=True))
    assert found.files["/etc/any"].content == ("".join(contents) if append else contents[-1]).encode()
    # cloud-init reads YAML with another library than the card's emulation does.
    entries = yaml.safe_load(found.user_data)["write_files"]
    assert [entry["content"] for entry in entries if entry["path"] == "/etc/any"] == contents


@settings(max_examples=60, deadline=None)
@given(script=LIKELY_TEXT | AWKWARD_LINES)
def test_any_script_for_open_vswitch_survives_byte_for_byte(script: str) -> None:
    found = parse_bfcfg(rendered(some.a_flavor(ovs={"rawConfigScript": script})))
    file = found.files.get("/opt/dpf/ovs.sh")
    assert (file.content if file else b"") == script.encode()


@settings(max_examples=60, deadline=None)
@given(data=st.one_of(
    st.binary(), LIKELY_TEXT.map(str.encode), AWKWARD_LINES.map(lambda text: around(f"#cloud-config\n{text}\n")),
))
def test_any_bytes_boot_or_are_told(data: bytes) -> None:
    try:
        parse_bfcfg(data)
    except ConfigError as error:
        assert str(error)
