"""What stands for the images of DPF's pods on emulated hosts."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace
from tests.support.machinerooms import a_room

from dpf.emulation.hardware import hostpod, podaccess
from dpf.emulation.hardware.settings import Host
from dpf.emulation.kubelet import images
from dpf.emulation.kubelet.volumes import ROOT_VARIABLE
from dpf.provisioning.hostpods import settings as pods

CONFIG = Path("/state/hardware.json")


@pytest.mark.parametrize(("image", "program"), [
    (pods.of_version("1.2.3").dms_image, "dms"), (pods.of_version("1.2.3").hostnetwork_image, "agent"),
    (pods.of_version("1.2.3").hostagent_image, "agent"), ("registry.example.com/dpf-dms@sha256:0", None),
])
def test_the_images_of_our_pods_are_known(image: str, program: str | None) -> None:
    rule = images.find_rule(hostpod.image_rules(CONFIG), image)
    assert (rule.argv[7] if rule else None) == program


def test_a_dms_serves_the_cards_of_its_host_at_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, "/pod/volumes")
    settings = a_room(tmp_path, gnoi=2, bfbFolder="/bfb")
    argv = hostpod.command(hostpod.DMS, settings, CONFIG, settings.hosts[1], [])
    options = dict(zip(argv[3::2], argv[4::2], strict=True))
    assert argv[:3] == [sys.executable, "-m", "dpf.emulation.dms"]
    assert options["--target"] == "0000:04:00.0=dpu-1"
    assert options["--listen"] == "127.18.252.3:9339"
    assert options["--tls-dir"] == "/pod/volumes/etc/dms/tls"
    assert options["--boot-socket"] == str(settings.boot_socket)
    assert options["--bfb-folder"] == "/bfb"


def test_the_host_agent_works_on_the_emulated_host(tmp_path: Path) -> None:
    settings = a_room(tmp_path, gnoi=1)
    argv = hostpod.command(hostpod.AGENT, settings, CONFIG, settings.hosts[0], ["vfs", "--vfs", "2"])
    assert argv[1:] == ["-m", "dpf.hostagent", "--emulated-hosts", str(settings.state / "hosts"), "--node", "worker-0",
                        "vfs", "--vfs", "2"]


def test_a_reboot_is_the_rooms_and_the_api_is_reached_as_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "root" / podaccess.ACCOUNT
    account.mkdir(parents=True)
    (account / "ca.crt").write_text("a CA")
    (account / "token").write_text("a secret")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "root"))
    settings = a_room(tmp_path, gnoi=1)
    argv = hostpod.command(hostpod.AGENT, settings, CONFIG, settings.hosts[0], ["reboot"])
    restart = shlex.split(argv[argv.index("--restart-command") + 1])
    assert restart[-4:] == [str(CONFIG), "--node", "worker-0", "power-cycle"]
    kubeconfig = Path(argv[argv.index("--kubeconfig") + 1])
    document = yaml.safe_load(kubeconfig.read_text())
    assert document["users"][0]["user"] == {"tokenFile": str(account / "token")}
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert "a secret" not in kubeconfig.read_text()


def test_what_cannot_run_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hostpod.main(["--config", str(tmp_path / "none"), "--node", "worker-0", "dms"]) == 1
    assert "cannot read the configuration" in capsys.readouterr().err


def test_a_host_of_another_room_is_refused(tmp_path: Path) -> None:
    room = replace(a_room(tmp_path, gnoi=1), hostCluster=None)
    with pytest.raises(hostpod.NoSuchHost):
        hostpod.command(hostpod.DMS, room, CONFIG, Host(name="w", index=0), [])
