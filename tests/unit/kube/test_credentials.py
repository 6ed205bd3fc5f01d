"""Credentials stay fresh by themselves, and never leave a trace."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dpf.api.core import ConfigMap
from dpf.kube import credentials, errors
from dpf.kube.credentials import ClientCertificate, Exec, ExecPlugin, Files, Trust

from .certificates import Pair, a_pair, server_context
from .stubserver import answer, config_map, serving

PLAIN = Trust(plain_http=True)
SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def pair() -> Pair:
    return a_pair("server")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.start = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


def certificate(pair: Pair) -> ClientCertificate:
    return ClientCertificate(certificate_pem=pair.certificate, key_pem=pair.key)


def test_key_material_leaves_no_file_and_no_descriptor(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = len(list(Path("/proc/self/fd").iterdir()))
    credentials.tls_context(Trust(ca_pem=pair.certificate), certificate(pair))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["other", "encrypted", "none"])
def test_a_key_that_cannot_be_used(pair: Pair, key: str) -> None:
    """An encrypted key in particular must not make the TLS library ask for a password on the terminal."""
    wrong = {"other": a_pair().key, "encrypted": pair.encrypted_key, "none": b""}[key]
    bad = ClientCertificate(certificate_pem=pair.certificate, key_pem=wrong)
    with pytest.raises(errors.CredentialsError, match="not a matching, unencrypted PEM pair") as caught:
        credentials.tls_context(Trust(), bad)
    assert caught.value.__suppress_context__


async def test_client_certificates_are_shown_to_the_server(pair: Pair, tmp_path: Path) -> None:
    client = a_pair("client")
    context = credentials.tls_context(Trust(ca_pem=pair.certificate), certificate(client))
    provider = credentials.Fixed(credentials.Credential(tls=context))
    server = server_context(pair, tmp_path, client_ca=client.certificate)
    async with serving(answer({"gitVersion": "v1"}), provider=provider, tls=server) as (api, _):
        assert await api.server_version() == "v1"


async def test_an_unknown_authority_is_refused_in_words(pair: Pair, tmp_path: Path) -> None:
    context = credentials.tls_context(Trust(ca_pem=a_pair().certificate))
    provider = credentials.Fixed(credentials.Credential(tls=context))
    async with serving(answer({}), provider=provider, tls=server_context(pair, tmp_path)) as (api, stub):
        with pytest.raises(errors.Unreachable, match=r"TLS refused by us: self-signed certificate.*127\.0\.0\.1"):
            await api.server_version()
        assert not stub.seen


async def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    clock, token = Clock(), tmp_path / "token"
    token.write_text("one\n")
    files = Files(PLAIN, token=token, clock=clock)
    assert files.current() is None
    assert (await files.renew()).authorization == "Bearer one"
    token.write_text("two-two\n")
    current = files.current()
    assert current is not None
    assert current.authorization == "Bearer one"
    clock.seconds += credentials.CHECK_FILES_EVERY_S
    assert files.current() is None
    assert (await files.renew()).authorization == "Bearer two-two"


async def test_a_token_swapped_as_the_kubelet_does_it(tmp_path: Path) -> None:
    clock = Clock()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name)
        os.utime(tmp_path / name / "token", (1, 1))
    (tmp_path / "data").symlink_to("one")
    files = Files(PLAIN, token=tmp_path / "data" / "token", clock=clock)
    await files.renew()
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    clock.seconds += credentials.CHECK_FILES_EVERY_S
    assert files.current() is None
    assert (await files.renew()).authorization == "Bearer two"


async def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    clock, token = Clock(), tmp_path / "token"
    token.write_text("one")
    files = Files(PLAIN, token=token, clock=clock)
    first = await files.renew()
    clock.seconds += 100
    assert files.current() is first
    assert await files.renew() is first


@pytest.mark.parametrize(("content", "words"), [
    ("", "the token is empty"), ("a b", "cannot have"), ("a\x00b", "cannot have"), ("ä", "cannot have"),
])
async def test_a_token_file_with_nonsense(tmp_path: Path, content: str, words: str) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    with pytest.raises(errors.CredentialsError, match=words):
        await Files(PLAIN, token=token).renew()


async def test_a_missing_token_file(tmp_path: Path) -> None:
    with pytest.raises(errors.CredentialsError, match=r"cannot read .*token: No such file"):
        await Files(PLAIN, token=tmp_path / "token").renew()


async def test_a_token_that_the_server_refuses_is_read_again_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    files = Files(PLAIN, token=token, clock=Clock())
    await files.renew()
    token.write_text("newer")
    refused = answer({"kind": "Status", "message": "no", "reason": "Unauthorized"}, 401)
    async with serving(refused, answer({"gitVersion": "v1"}), provider=files) as (api, stub):
        assert await api.server_version() == "v1"
        assert [seen.headers["authorization"] for seen in stub.seen] == ["Bearer old", "Bearer newer"]


# Exec plugins.


def a_plugin(folder: Path, status: str, *, then: str = "", kind: str = "ExecCredential") -> ExecPlugin:
    """A plugin that counts its runs in a file `runs` and answers with `status`."""
    script = folder / "plugin.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        f"runs = pathlib.Path({str(folder / 'runs')!r})\n"
        "runs.write_text((runs.read_text() if runs.exists() else '') + 'x')\n"
        f"pathlib.Path({str(folder / 'info')!r}).write_text(os.environ['KUBERNETES_EXEC_INFO'])\n"
        f"print({SECRET!r}, file=sys.stderr)\n"
        f"{then}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', "
        f"'kind': {kind!r}, 'status': {status}}}))\n"
    )
    return ExecPlugin(command=sys.executable, args=("-S", "-I", str(script)), env={"EXTRA": "1"})


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text())


async def test_a_plugin_runs_once_for_all_and_again_before_the_end(tmp_path: Path) -> None:
    clock = Clock()
    plugin = a_plugin(tmp_path, "{'token': os.environ['EXTRA'] + 'x', 'expirationTimestamp': '2026-01-01T00:10:00Z'}")
    provider = Exec(PLAIN, plugin, now=clock.now)
    assert provider.current() is None
    first, second = await asyncio.gather(provider.renew(), provider.renew())
    assert first is second
    assert first.authorization == "Bearer 1x"
    assert provider.current() is first
    assert runs(tmp_path) == 1
    clock.seconds = 9 * 60 + 31
    assert provider.current() is None
    await provider.renew()
    assert runs(tmp_path) == 2


async def test_a_plugin_may_hand_out_certificates(tmp_path: Path, pair: Pair) -> None:
    both = f"{{'clientCertificateData': {pair.certificate.decode()!r}, 'clientKeyData': {pair.key.decode()!r}}}"
    credential = await Exec(Trust(), a_plugin(tmp_path, both)).renew()
    assert credential.tls is not None
    assert credential.authorization is None


async def test_a_plugin_is_told_about_the_cluster(tmp_path: Path) -> None:
    plugin = a_plugin(tmp_path, "{'token': 't'}")
    info = ExecPlugin(command=plugin.command, args=plugin.args, env=plugin.env, cluster={"server": "https://x"})
    await Exec(PLAIN, info).renew()
    assert '"cluster":{"server":"https://x"}' in (tmp_path / "info").read_text()
    assert '"interactive":false' in (tmp_path / "info").read_text()


@pytest.mark.parametrize(("status", "then", "kind", "words"), [
    ("{}", "", "ExecCredential", "has no token and no certificate"),
    ("None", "", "ExecCredential", "has no token and no certificate"),
    ("{'token': 't'}", "", "Other", "not an ExecCredential of"),
    ("{'token': 't'}", f"print({SECRET!r})", "ExecCredential", "not an ExecCredential"),
    ("{'token': 't'}", "sys.exit(3)", "ExecCredential", "ended with exit code 3; run it by hand"),
    (f"{{'token': {SECRET!r} + chr(10) + 'x'}}", "", "ExecCredential", "characters that a token cannot have"),
])
async def test_a_plugin_that_fails_says_so_without_secrets(
    tmp_path: Path, status: str, then: str, kind: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(errors.CredentialsError, match=words) as caught:
        await Exec(PLAIN, a_plugin(tmp_path, status, then=then, kind=kind)).renew()
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(capfd.readouterr())


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path) -> None:
    pid_file = str(tmp_path / "pid")
    then = f"pathlib.Path({pid_file!r}).write_text(str(os.getpid())); os.read(os.pipe()[0], 1)"
    plugin = a_plugin(tmp_path, "{}", then=then)
    with pytest.raises(errors.CredentialsError, match="no answer within"):
        await Exec(PLAIN, plugin, timeout_s=0.5).renew()
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_plugin_that_is_not_installed() -> None:
    plugin = ExecPlugin(command="/no/such/plugin", install_hint="apt install plugin")
    with pytest.raises(errors.CredentialsError, match="No such file or directory; apt install plugin"):
        await Exec(PLAIN, plugin).renew()


async def test_a_refused_token_makes_the_plugin_run_again(tmp_path: Path) -> None:
    plugin = a_plugin(tmp_path, "{'token': 't' + str(len(runs.read_text()))}")
    refused = answer({"kind": "Status", "message": "no", "reason": "Unauthorized"}, 401)
    async with serving(refused, answer(config_map("a")), refused, provider=Exec(PLAIN, plugin)) as (api, stub):
        assert (await api.get(ConfigMap, "a", "ns")).metadata.name == "a"
        assert [seen.headers["authorization"] for seen in stub.seen] == ["Bearer t1", "Bearer t2"]
        with pytest.raises(errors.Unauthorized):
            await api.server_version()
        assert len(stub.seen) == 4
