"""No token, password or key of an installation is in a status, an Event, a log or an error (issue 5, design.md 12)."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import msgspec
import pytest
from tests.support import dpus as some
from tests.support.dpus import Stage

from dpf.api import core
from dpf.api.dpu import DPU
from dpf.api.dpunode import DPUNode
from dpf.api.dpunodemaintenance import DPUNodeMaintenance
from dpf.api.meta import Object
from dpf.api.provisioning import InstallInterface
from dpf.kube import errors
from dpf.kube.memory import Request
from dpf.provisioning.install.port import Activate, Install, InstallError, Transfer

BOTH = pytest.mark.parametrize("interface", [InstallInterface.REDFISH, InstallInterface.GNOI])
PASSWORD = "correct-horse-battery"
FLAVOR = {"bfcfgParameters": [f"ubuntu_PASSWORD={PASSWORD}"]}
PUBLIC: tuple[type[Object], ...] = (
    DPU, DPUNode, DPUNodeMaintenance, core.Event, core.Node, core.Pod, core.Role, core.RoleBinding, core.ConfigMap,
)
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.([a-z0-9]{16})\b")


class Listener:
    """Remembers every secret that was ever there, and everything that anybody may read."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.secrets: set[str] = {PASSWORD}
        self.public: set[str] = set()
        for cluster in stage.world.clusters:
            cluster.after_write = self._look
        stage.drives.after_write = self._look

    def _look(self, _request: Request) -> None:
        for cluster in self.stage.world.clusters:
            for secret in cluster.objects(core.Secret):
                data = {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}
                self.secrets |= {value for key, value in data.items() if key == "token-secret"}
                self.secrets |= {found for value in data.values() for found in _TOKEN.findall(value)}
            for kind in PUBLIC:
                self.public |= {msgspec.json.encode(obj).decode() for obj in cluster.objects(kind)}
        for file in self.stage.files:
            self.secrets |= set(_TOKEN.findall(file.read_text()))
            self.secrets |= set(re.findall(r"passwd: '?(\S{8,}?)'?$", file.read_text(), re.MULTILINE))

    def found(self, *texts: str) -> list[str]:
        """Which of the secrets are told, in plain or as Secrets hold them."""
        everything = "\n".join([*self.public, *texts])
        encoded = {base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]: secret for secret in self.secrets}
        return [s for s in self.secrets if s in everything] + [s for e, s in encoded.items() if e in everything]


def errors_of(stage: Stage) -> str:
    """Everything that the driver was told to do, as a log would show it."""
    return "\n".join(map(repr, stage.drives.intents))


@BOTH
async def test_a_flash_and_a_deletion_tell_no_secret(
    tmp_path: Path, interface: InstallInterface, capfd: pytest.CaptureFixture[str],
) -> None:
    stage = some.a_stage(tmp_path, interface=interface, effect={"hold": True}, flavor=FLAVOR)
    listener = Listener(stage)
    async with stage.controllers() as manager:
        await stage.work(manager)
        await stage.delete()
        await stage.work(manager, until=lambda stage: not stage.dpus and not stage.left)
    out, err = capfd.readouterr()
    assert "Prepare" in out, "what the controllers log is heard"
    assert len(listener.secrets) >= (3 if interface is InstallInterface.REDFISH else 2)
    assert listener.found(out, err, errors_of(stage)) == []


@BOTH
async def test_failures_tell_no_secret(
    tmp_path: Path, interface: InstallInterface, capfd: pytest.CaptureFixture[str],
) -> None:
    """Servers refuse Secrets, the volume refuses the file, cards refuse the order and repeat what they were sent."""
    stage = some.a_stage(
        tmp_path, interface=interface, effect={"noEffect": True}, flavor=FLAVOR, config={"osInstallRetries": 9},
    )
    listener = Listener(stage)
    stage.host.fail_next(
        lambda request: request.kind == "Secret" and request.is_write, errors.Forbidden("no Secrets for you"), times=3
    )
    (tmp_path / "bfcfg").write_text("a file where a folder should be")
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("Prepare BFB"), rounds=40)
        status, reason, message = stage.told("BFBPrepared")
        assert (status, reason) == ("False", "FailedToCreateKubeadmSecret")
        assert message.startswith("the host cluster: ")
        await stage.pass_time(manager, 120)
        assert stage.told("BFBPrepared")[1] == "FailedToPushBFCFG"
        (tmp_path / "bfcfg").unlink()
        for order in (Install, Transfer, Activate):
            stage.installer.refuses[order] = [InstallError("the server is on fire")] * 2
        await stage.work(manager)
    assert stage.phases == {"worker-1-d1": "Ready"}
    assert len(listener.secrets) >= (3 if interface is InstallInterface.REDFISH else 2)
    assert listener.found(*capfd.readouterr(), errors_of(stage)) == []


async def test_tokens_are_given_to_nobody_but_the_card(tmp_path: Path) -> None:
    """While a DPU is installed its tokens are in Secrets and in one file that nobody else may read; later nowhere."""
    stage = some.a_stage(tmp_path, effect={"noEffect": True}, flavor=FLAVOR)
    stage.plays.installs = False
    async with stage.controllers() as manager:
        await stage.work(manager, until=stage.in_phase("OS Installing"))
        (file,) = stage.files
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0
        (token,) = [s for s in stage.world.clusters[1].objects(core.Secret) if s.metadata.name.startswith("bootstrap")]
        expires = base64.b64decode((token.data or {})["expiration"]).decode()
        assert expires == "2026-01-01T02:00:00Z"
        assert stage.dpu().metadata.uid in (token.metadata.labels or {}).values()
        stage.plays.installs = True
        await stage.work(manager)
    assert [name for name in stage.left if "Secret" in name] == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    listener = Listener(some.a_stage(tmp_path))
    listener.secrets.add("0123456789abcdef")
    assert listener.found("a token: abcdef.0123456789abcdef") == ["0123456789abcdef"]
    assert listener.found(base64.b64encode(b"0123456789abcdef").decode()) == ["0123456789abcdef"]
    assert listener.found("nothing") == []
