"""What may become a bf.cfg, and what is in it (behaviour-provisioning.md sections 10 and 16: 48 to 50)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml
from tests.support import dpuflavors as some

from dpf.api.provisioning import InstallInterface
from dpf.provisioning.flavor import cloudinit
from dpf.provisioning.flavor.facts import DPUFacts, Join, JoinCommandError, parse_join
from dpf.provisioning.flavor.problem import findings
from dpf.provisioning.flavor.render import MAX_SIZE, Rendered, render
from dpf.runtime.plan import Severity


def messages(rendered: Rendered) -> list[str]:
    return [finding.message for finding in findings(rendered.problems)]


def text_of(rendered: Rendered) -> str:
    assert rendered.bf_cfg is not None, rendered.problems
    return rendered.bf_cfg.decode()


def document(rendered: Rendered) -> dict[str, object]:
    loaded = yaml.safe_load(rendered.user_data)
    assert isinstance(loaded, dict)
    return loaded


def files(rendered: Rendered) -> dict[str, str]:
    entries = document(rendered)["write_files"]
    assert isinstance(entries, list)
    return {entry["path"]: entry["content"] for entry in entries}


def of_size(size: int) -> Rendered:
    """A flavor that renders to exactly `size` bytes, as far as a file can make it so."""
    short = len(text_of(render(some.a_flavor(configFiles=[{"path": "/a", "raw": "x"}]), some.a_dpu())))
    flavor = some.a_flavor(configFiles=[{"path": "/a", "raw": "x" * (size - short + 1)}])
    return render(flavor, some.a_dpu())


def test_the_largest_bfcfg_is_accepted() -> None:
    assert len(text_of(of_size(MAX_SIZE))) == 131072


def test_one_byte_more_is_refused_with_the_documented_text() -> None:
    refused = of_size(MAX_SIZE + 1)
    assert refused.bf_cfg is None
    assert messages(refused) == [
        "bf.cfg for worker1-0000-2b-00 size (131073) exceeds the maximum limit (131072)"
    ]


def test_the_size_counts_bytes_not_characters() -> None:
    flavor = some.a_flavor(configFiles=[{"path": "/a", "raw": "ä" * 66_000}])
    assert messages(render(flavor, some.a_dpu()))[0].startswith("bf.cfg for worker1-0000-2b-00 size (13")


def test_the_size_check_can_be_skipped() -> None:
    flavor = some.a_flavor(configFiles=[{"path": "/a", "raw": "x" * 200_000}])
    assert len(text_of(render(flavor, some.a_dpu(skip_size_check=True)))) > 200_000


def test_the_same_input_gives_the_same_bytes_whatever_the_order_of_its_labels() -> None:
    one = render(some.a_full_flavor(), some.a_dpu(node_labels={"a": "1", "b": "2"}))
    other = render(some.a_full_flavor(), some.a_dpu(node_labels={"b": "2", "a": "1"}))
    assert one.bf_cfg == other.bf_cfg


@pytest.mark.parametrize(("written", "in_yaml"), [
    ("ubuntu_PASSWORD=$6$salt$hash", "'$6$salt$hash'"),
    ("ubuntu_PASSWORD='$6$salt$hash'", "'$6$salt$hash'"),
    ('ubuntu_PASSWORD="$6$salt$hash"', "'$6$salt$hash'"),
    ("ubuntu_PASSWORD=1234567890123", "'1234567890123'"),
    ("ubuntu_PASSWORD=x", "'x'"),
])
def test_a_password_moves_from_the_parameters_to_the_user_in_single_quotes(written: str, in_yaml: str) -> None:
    rendered = render(some.a_flavor(bfcfgParameters=["A=1", written, "B=2"]), some.a_dpu())
    assert text_of(rendered).startswith("A=1\nB=2\nbfb_modify_os()\n")
    assert f"\n  passwd: {in_yaml}\n" in rendered.user_data
    assert "chpasswd" not in rendered.user_data


def test_without_a_password_the_first_login_has_to_change_the_usual_one() -> None:
    loaded = document(render(some.a_flavor(), some.a_dpu()))
    assert loaded["chpasswd"] == {"expire": True, "list": "ubuntu:ubuntu\n"}


@pytest.mark.parametrize("written", ["ubuntu_PASSWORD=a=b", "ubuntu_PASSWORD=", "ubuntu_PASSWORD=''"])
def test_a_password_that_is_none_is_refused_and_not_repeated(written: str) -> None:
    refused = render(some.a_flavor(bfcfgParameters=[written]), some.a_dpu())
    assert refused.bf_cfg is None
    (message,) = messages(refused)
    assert message == (
        "DPUFlavor dpf-operator-system/flavor: spec.bfcfgParameters[0]: ubuntu_PASSWORD needs a value and exactly one "
        "=; write ubuntu_PASSWORD=HASH with the HASH that `openssl passwd -6` prints"
    )


def test_files_of_the_flavor_are_written_last_so_that_they_win() -> None:
    flavor = some.a_flavor(configFiles=[{"path": "/etc/netplan/99-dpf.yaml", "raw": "mine"}])
    assert files(render(flavor, some.a_dpu()))["/etc/netplan/99-dpf.yaml"] == "mine"


def test_what_is_appended_keeps_the_mode_that_the_flavor_gave_the_file() -> None:
    flavor = some.a_flavor(configFiles=[
        {"path": "/etc/secret", "permissions": "0600", "raw": "a"},
        {"path": "/etc/secret", "operation": "append", "raw": "b"},
        {"path": "/etc/secret", "operation": "override", "raw": "c"},
    ])
    written = [file for file in cloudinit.files(flavor, some.a_dpu()) if file.path == "/etc/secret"]
    assert [(file.permissions, file.append) for file in written] == [("0600", False), ("0600", True), (None, False)]


@pytest.mark.parametrize(("spec", "reboot", "expected"), [
    ({}, False, None),
    ({"grub": {"kernelParameters": ["a"]}}, False, ["update-grub"]),
    ({"sysctl": {"parameters": ["a=1"]}}, False, ["update-grub"]),
    ({"sysctl": {"parameters": ["a=1"]}}, True, ["update-grub", "systemctl reboot"]),
    ({}, True, ["systemctl reboot"]),
    ({"grub": {"kernelParameters": []}, "sysctl": {"parameters": []}}, False, None),
], ids=["nothing", "kernel", "sysctl", "both", "reboot only", "empty lists"])
def test_the_first_boot_ends_with_what_the_settings_need(
    spec: dict[str, Any], reboot: bool, expected: list[str] | None,
) -> None:
    rendered = render(some.a_flavor(**spec), some.a_dpu(additional_reboot=reboot))
    script = files(rendered).get("/opt/dpf/restart.sh")
    assert (script.split("\n\n")[1].split() if script else None) == (" ".join(expected).split() if expected else None)
    commands = document(rendered)["runcmd"]
    assert isinstance(commands, list)
    assert (commands[-1] == ["/opt/dpf/restart.sh"]) is (expected is not None)


def test_where_the_dpu_restarts_anyway_nothing_is_started_before() -> None:
    commands = document(render(some.a_full_flavor(), some.a_dpu(additional_reboot=True)))["runcmd"]
    assert isinstance(commands, list)
    assert [
        "systemctl", "enable", "dpf-configure-sfs.service", "dpf-ovs.service", "dpf-join-cluster.service"
    ] in commands


def test_a_kubelet_gets_no_label_that_it_would_refuse_to_start_with() -> None:
    labels = {"node-role.kubernetes.io/dpu": "", "rack.k8s.io/a": "b", "mykubernetes.io/a": "b"}
    drop_in = files(render(some.a_flavor(), some.a_dpu(node_labels=labels, host_name=None)))[
        "/etc/systemd/system/kubelet.service.d/98-dpf.conf"
    ]
    assert drop_in.endswith('KUBELET_EXTRA_ARGS=--node-labels=mykubernetes.io/a=b"\n')


def test_the_flow_with_an_agent_is_refused_in_clear_words() -> None:
    refused = render(some.a_flavor(), some.a_dpu(install_interface=InstallInterface.HOST_AGENT))
    (message,) = messages(refused)
    assert message == (
        "DPU dpf-operator-system/worker1-0000-2b-00: the install interface hostAgent is not supported yet; set the "
        "DPUNode's interface to gNOI or redfish"
    )


@pytest.mark.parametrize("name", ["a" * 64, "Upper", "x;reboot", "a\nb", "", "-a"])
def test_a_name_that_no_node_can_have_is_refused(name: str) -> None:
    refused = render(some.a_flavor(), some.a_dpu(name=name))
    assert refused.bf_cfg is None
    assert "cannot become a Node" in messages(refused)[0]


def test_the_longest_name_is_accepted() -> None:
    assert f"--node-name {'a' * 63};" in text_of(render(some.a_flavor(), some.a_dpu(name="a" * 63)))


@pytest.mark.parametrize("labels", [{"a": 'b"\nExecStart=/bin/sh'}, {"a b": "c"}, {"a": "b,c=d"}, {"a": "x" * 64}])
def test_a_label_that_could_leave_its_line_is_refused(labels: dict[str, str]) -> None:
    refused = render(some.a_flavor(), some.a_dpu(node_labels=labels))
    assert refused.bf_cfg is None
    assert messages(refused)[0].endswith(
        "cannot be a label of its Node with this value; correct nodeLabels in the DPUSet"
    )


def test_advice_does_not_stop_an_installation() -> None:
    rendered = render(some.a_flavor(bfcfgParameters=["ubuntu_PASSWORD=plain"]), some.a_dpu())
    assert rendered.bf_cfg is not None
    assert messages(rendered) == []
    assert [problem.blocks for problem in rendered.problems] == [False]


def test_every_problem_becomes_a_finding_that_needs_a_person() -> None:
    refused = render(some.a_flavor(packages=[{"name": "a"}], dma={"enabled": True}), some.a_dpu(name="A"))
    assert [finding.severity for finding in findings(refused.problems)] == [Severity.INVALID] * 3


def test_no_secret_is_in_what_may_be_logged() -> None:
    secret = "0123456789abcdef"
    flavor = some.a_flavor(bfcfgParameters=["ubuntu_PASSWORD=$6$salt$hidden", "BMC_PASSWORD='hidden"])
    good = render(some.a_flavor(), some.a_dpu())
    told = [repr(some.a_dpu()), repr(good), repr(render(flavor, some.a_dpu()))]
    assert secret.encode() in (good.bf_cfg or b"")
    assert not [text for text in told if f".{secret}" in text or "hidden" in text]


def test_user_data_ends_with_a_line_that_its_content_does_not_have() -> None:
    flavor = some.a_flavor(configFiles=[{"path": "/a", "raw": "DPF_USER_DATA\nDPF_USER_DATA1\n"}])
    body = text_of(render(flavor, some.a_dpu())).split("<<'")[1]
    end = body.split("'", 1)[0]
    assert body.split("\n").count(end) == 1


@pytest.mark.parametrize(("command", "expected"), [
    (f"kubeadm join 10.0.0.1:6443 --token {some.TOKEN} --v=5 --discovery-token-ca-cert-hash {some.PIN}",
     Join(server="10.0.0.1:6443", token=some.TOKEN, pins=(some.PIN,))),
    (f"kubeadm join [fd00::1]:6443 --discovery-token-ca-cert-hash={some.PIN} --token={some.TOKEN}\n",
     Join(server="[fd00::1]:6443", token=some.TOKEN, pins=(some.PIN,))),
])
def test_a_join_command_is_taken_apart(command: str, expected: Join) -> None:
    assert parse_join(command) == expected


@pytest.mark.parametrize("command", [
    "", "kubeadm join", "kubeadm init 10.0.0.1:6443", "'", f"kubeadm join 10.0.0.1 --token {some.TOKEN}",
    f"kubeadm join 10.0.0.1:6443 --token {some.TOKEN}",
    f"kubeadm join 10.0.0.1:6443 --token {some.TOKEN} --discovery-token-ca-cert-hash sha256:12",
    f"kubeadm join 10.0.0.1:6443 --token SECRET --discovery-token-ca-cert-hash {some.PIN}",
    f"kubeadm join a;reboot:6443 --token {some.TOKEN} --discovery-token-ca-cert-hash {some.PIN}",
    f"kubeadm join a:1 --token {some.TOKEN} --token {some.TOKEN} --discovery-token-ca-cert-hash {some.PIN}",
])
def test_anything_else_is_no_join_command_and_is_not_repeated(command: str) -> None:
    with pytest.raises(JoinCommandError) as caught:
        parse_join(command)
    assert some.TOKEN not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_facts_hold_every_part_of_the_join_but_show_no_token() -> None:
    facts: DPUFacts = some.a_dpu()
    assert dataclasses.asdict(facts)["join"]["token"] == some.TOKEN
    assert some.TOKEN not in repr(facts)


def test_an_agent_is_told_who_it_is_and_only_its_kubeconfig_holds_the_token() -> None:
    rendered = render(some.a_flavor(), some.a_dpu(agent=some.AGENT))
    written = {file.path: file for file in cloudinit.files(some.a_flavor(), some.a_dpu(agent=some.AGENT))}
    holders = {path for path, file in written.items() if some.AGENT_TOKEN in file.content}
    assert holders == {"/opt/dpf/bootstrap-kubeconfig"}
    assert written["/opt/dpf/bootstrap-kubeconfig"].permissions == "0600"
    assert yaml.safe_load(written["/opt/dpf/dpuagent.conf"].content)["dpu"] == {
        "namespace": some.NAMESPACE, "name": "worker1-0000-2b-00", "uid": "8f3c6a0e-6c0f-4d7a-9a5e-2b7c1d0e9f11",
    }
    assert ["systemctl", "enable", "--now", "--no-block", "dpf-join-cluster.service", "dpu-agent.service"] in (
        document(rendered)["runcmd"]
    )
    assert some.AGENT_TOKEN not in repr(some.a_dpu(agent=some.AGENT))


@pytest.mark.parametrize("path", [
    "/opt/dpf/dpuagent.conf", "/opt/dpf/bootstrap-kubeconfig", "/etc/systemd/system/dpu-agent.service",
])
def test_a_flavor_may_not_replace_what_the_agent_needs(path: str) -> None:
    refused = render(some.a_flavor(configFiles=[{"path": path, "raw": "x"}]), some.a_dpu(agent=some.AGENT))
    assert refused.bf_cfg is None
