"""The rendered shell, run by real shells below a folder of the test, with small programs in place of the card's.

Nothing outside the folder is touched: absolute paths are moved below it, and PATH has only the stand-ins first.
"""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.support import dpuflavors as some

from dpf.provisioning.flavor import cloudinit, layout, scripts
from dpf.provisioning.flavor.render import render

SETTINGS = ["PF_TOTAL_SF=3", "ODD=$(touch hacked)"]


class Card:
    """A folder that stands for the root of a card, and what was called on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._programs = root / "bin"
        self._programs.mkdir()
        self._log = root / "calls"
        self._log.touch()

    def program(self, name: str, body: str = "exit 0") -> None:
        """`name` is called with its words in the log."""
        path = self._programs / name
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>{self._log}\n{body}\n')
        path.chmod(0o755)

    def run(self, text: str, *, shell: str = "/bin/bash", moved: tuple[str, ...] = ("/opt", "/etc", "/dev/mst")) -> int:
        """The exit code of the script, with its absolute paths below this folder."""
        for prefix in moved:
            text = text.replace(prefix, f"{self.root}{prefix}")
        if "/opt" in moved:
            text = text.replace(f"{self.root}/opt/mellanox/iproute2/sbin/mlxdevm", "mlxdevm")
            text = text.replace("/sbin/mlnx-sf", "mlnx-sf")
        done = subprocess.run(
            [shell, "-c", text], check=False, cwd=self.root, capture_output=True, timeout=20,
            env={"PATH": f"{self._programs}:/usr/bin:/bin"},
        )
        return done.returncode

    def file(self, path: str, text: str = "") -> Path:
        """The file below this folder, with its parents."""
        found = Path(f"{self.root}{path}")
        found.parent.mkdir(parents=True, exist_ok=True)
        if text:
            found.write_text(text)
        return found

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


def script(path: str, **spec: Any) -> str:
    found = [file for file in cloudinit.files(some.a_flavor(**spec), some.a_dpu()) if file.path == path]
    return found[-1].content


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_the_installer_writes_the_user_data_byte_for_byte(card: Card, shell: str) -> None:
    rendered = render(some.a_full_flavor(), some.a_dpu())
    assert rendered.bf_cfg is not None
    builtin = card.file("/mnt/etc/netplan/50-cloud-init.yaml", "network: {}")
    seed = card.file("/mnt/var/lib/cloud/seed/nocloud-net/network-config", "version: 1").parent

    assert card.run(rendered.bf_cfg.decode() + "bfb_modify_os\n", shell=shell, moved=("/mnt",)) == 0

    # Every /mnt was moved; the user-data has none.
    assert (seed / "user-data").read_bytes() == rendered.user_data.encode()
    assert (seed / "user-data").stat().st_mode & 0o777 == 0o600
    assert "instance-id: 8f3c6a0e" in (seed / "meta-data").read_text()
    assert card.file("/mnt/etc/cloud/cloud.cfg.d/99-dpf-network.cfg").read_text() == "network:\n  config: disabled\n"
    assert not builtin.exists()
    assert not (seed / "network-config").exists()


def test_the_installer_gets_the_parameters_as_a_shell_reads_them(card: Card) -> None:
    rendered = render(some.a_flavor(bfcfgParameters=["A='x $y'", "B=2"]), some.a_dpu())
    assert rendered.bf_cfg is not None
    card.program("seen")
    assert card.run(rendered.bf_cfg.decode() + 'seen "$A" "$B"\n', moved=()) == 0
    assert card.calls == ["seen x $y 2"]


def a_joining(card: Card, *, address: bool = True, join: str = "exit 0") -> str:
    card.program("ip", "echo 'inet 10.0.0.7/24'" if address else "exit 0")
    card.program("kubeadm", f'if [ "$1" = join ]; then {join}; fi')
    card.file(layout.JOIN_MARKER)
    return script(layout.JOIN_SCRIPT)


def test_a_dpu_with_an_address_joins_with_all_it_was_told_and_remembers_it(card: Card) -> None:
    assert card.run(a_joining(card)) == 0
    ip, kubeadm = card.calls
    assert ip == "ip -4 -o address show dev br-comm-ch scope global"
    assert kubeadm == (
        f"kubeadm join 10.0.110.10:30443 --token {some.TOKEN} --v=5 --discovery-token-ca-cert-hash {some.PIN} "
        "--node-name worker1-0000-2b-00"
    )
    assert card.file(layout.JOIN_MARKER).exists()


def test_a_dpu_without_an_address_does_not_try(card: Card) -> None:
    assert card.run(a_joining(card, address=False)) == 1
    assert [call.split()[0] for call in card.calls] == ["ip"]
    assert not card.file(layout.JOIN_MARKER).exists()


def test_a_failed_join_is_cleaned_up_and_tried_again(card: Card) -> None:
    assert card.run(a_joining(card, join="exit 3")) == 1
    assert card.calls[-1] == "kubeadm reset --force"
    assert not card.file(layout.JOIN_MARKER).exists()


def test_a_join_that_was_interrupted_behind_its_end_is_not_repeated(card: Card) -> None:
    text = a_joining(card)
    card.file("/etc/kubernetes/kubelet.conf", "kind: Config")
    assert card.run(text) == 0
    assert card.calls == []
    assert card.file(layout.JOIN_MARKER).exists()


def test_functions_that_are_missing_are_made_and_only_these(card: Card) -> None:
    card.program("mlxdevm", "echo 'pci/0000:03:00.0/1: type eth flavour pcisf controller 0 pfnum 0 sfnum 1'\n"
                            "echo 'pci/0000:03:00.1/2: type eth flavour pcisf controller 0 pfnum 1 sfnum 0'\n"
                            "echo 'pci/0000:03:00.0/3: type eth flavour pcisf controller 0 pfnum 0 sfnum 20'")
    card.program("mlnx-sf")
    assert card.run(script(layout.SF_SCRIPT, nvconfig=[{"parameters": SETTINGS}])) == 0
    assert card.calls[1:] == [
        f"mlnx-sf --action create --enable-trust --device 0000:03:00.0 --sfnum {number}" for number in (0, 2)
    ]


def test_a_function_that_cannot_be_made_is_told_after_the_others(card: Card) -> None:
    card.program("mlxdevm")
    card.program("mlnx-sf", "exit 1")
    assert card.run(script(layout.SF_SCRIPT, nvconfig=[{"parameters": SETTINGS}])) == 1
    assert len(card.calls) == 4


@pytest.mark.parametrize(("device", "matched"), [
    (None, ["mt41692_pciconf0", "mt41692_pciconf0.1"]), ("P0", ["mt41692_pciconf0"]), ("p1", ["mt41692_pciconf0.1"]),
])
def test_settings_reach_the_devices_of_their_port_word_for_word(
    card: Card, device: str | None, matched: list[str],
) -> None:
    for name in ("mt41692_pciconf0", "mt41692_pciconf0.1", "mt41692_pci_cr0"):
        card.file(f"/dev/mst/{name}").touch()
    card.program("mst")
    card.program("mlxconfig")
    entry = {"parameters": SETTINGS, **({"device": device} if device else {}), "force": device == "p1"}

    assert card.run(script(layout.NVCONFIG_SCRIPT, nvconfig=[entry])) == 0

    force = "--force " if device == "p1" else ""
    assert card.calls == ["mst start", *(
        f"mlxconfig --dev {card.root}/dev/mst/{name} --yes {force}set PF_TOTAL_SF=3 ODD=$(touch hacked)"
        for name in matched
    )]
    assert not (card.root / "hacked").exists()


@pytest.mark.parametrize("mlxconfig", ["exit 3", None], ids=["refused", "no device"])
def test_settings_that_were_not_made_are_told(card: Card, mlxconfig: str | None) -> None:
    card.program("mst")
    card.program("mlxconfig", mlxconfig or "exit 0")
    if mlxconfig:
        card.file("/dev/mst/mt41692_pciconf0").touch()
    assert card.run(script(layout.NVCONFIG_SCRIPT, nvconfig=[{"parameters": SETTINGS}])) == 1


@pytest.mark.parametrize("config", [
    "",
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ""\n',
    "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\n  config_path = ''\n",
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n[plugins.other]\n  a = 1\n',
    "version = 2\n",
], ids=["none", "empty path", "containerd 2", "no path", "no table"])
def test_containerd_reads_the_folder_of_registries_whatever_its_configuration_was(card: Card, config: str) -> None:
    card.program("containerd", "echo '[plugins.\"io.containerd.grpc.v1.cri\".registry]'; echo '  config_path = \"\"'")
    card.program("systemctl")
    path = card.file("/etc/containerd/config.toml", config)
    text = script(layout.CONTAINERD_SCRIPT, containerdConfig={"registryEndpoint": "a"})

    for _ in range(2):
        assert card.run(text) == 0
        (plugin,) = [p for p in tomllib.loads(path.read_text())["plugins"].values() if "registry" in p]
        assert plugin["registry"] == {"config_path": f"{card.root}/etc/containerd/certs.d"}
    assert card.calls[-1] == "systemctl restart containerd.service"


@pytest.mark.parametrize(("endpoint", "url"), [
    ("mirror:5000", "https://mirror:5000"), ("http://[fd00::1]:80/v2/", "http://[fd00::1]:80/v2"),
])
def test_the_mirror_is_asked_first_and_not_verified(endpoint: str, url: str) -> None:
    assert tomllib.loads(scripts.registry_hosts(endpoint)) == {
        "server": "https://nvcr.io", "host": {url: {"capabilities": ["pull", "resolve"], "skip_verify": True}},
    }


def test_the_resolver_forgets_the_rshim_link_only(card: Card) -> None:
    path = card.file("/etc/resolv.conf", "nameserver 192.168.100.1\nnameserver 192.168.100.10\nsearch a\n")
    card.program("resolvectl", "exit 1")
    assert card.run(scripts.dns()) == 0
    assert path.read_text() == "nameserver 192.168.100.10\nsearch a\n"


def test_a_linked_resolver_is_left_alone(card: Card) -> None:
    target = card.file("/run/resolv.conf", "nameserver 192.168.100.1\n")
    card.file("/etc/resolv.conf").symlink_to(target)
    card.program("resolvectl")
    assert card.run(scripts.dns()) == 0
    assert card.calls == ["resolvectl revert tmfifo_net0"]
    assert target.read_text() == "nameserver 192.168.100.1\n"


def test_a_shell_reads_the_kernel_parameters_as_they_were_written(card: Card) -> None:
    card.program("seen")
    text = scripts.grub(["a=1  b=2", 'dyndbg="file $x +p"', "c=`id` \\"])
    assert card.run(text + 'seen "$GRUB_CMDLINE_LINUX"') == 0
    assert card.calls == ['seen a=1 b=2 dyndbg="file $x +p" c=`id` \\']


@pytest.mark.parametrize("file", [
    file for file in cloudinit.files(some.a_full_flavor(), some.a_dpu(additional_reboot=True))
    if file.content.startswith("#!/bin/bash")
], ids=lambda file: file.path)
def test_every_script_is_correct_shell(file: cloudinit.File) -> None:
    checked = subprocess.run(["/bin/bash", "-n", "-c", file.content], check=False, capture_output=True, timeout=20)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert file.permissions in {"0700", "0755"}
