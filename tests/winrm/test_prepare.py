"""``kernellab target add | check | prepare | password``, on a machine behind the test service."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernellab import cli
from kernellab.build import signing
from kernellab.guest import capture_driver
from kernellab.target import config, credentials
from kernellab.target.winrm.target import FOLDER
from tests.target.test_config import Memory
from tests.winrm.certificates import Authority
from tests.winrm.conftest import PASSWORD, USER
from tests.winrm.machine import Machine
from tests.winrm.server import WinRMServer

Serve = Callable[..., WinRMServer]


class Outcome:
    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``kernellab target …`` in a project of its own, with a key of its own."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.delenv(config.VARIABLE, raising=False)
    monkeypatch.setattr(config, "user_file", lambda: tmp_path / "user" / "kernellab.toml")
    monkeypatch.setattr(signing, "folder", lambda: tmp_path / "signing")
    monkeypatch.setenv("KERNELLAB_PASSWORD_VM", PASSWORD)

    def call(*words: str, typed: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = cli.main(["target", *words])
        out, error = capsys.readouterr()
        assert PASSWORD not in out + error
        return Outcome(code, out, error)

    return call


@pytest.fixture
def vm(run: Run, serve: Serve, authority: Authority) -> WinRMServer:
    server = serve(certificate=authority.issue())
    added = run(
        *("add", "vm", "--host", "127.0.0.1", "--port", str(server.port), "--user", USER),
        *("--certificate", str(authority.ca), "--lab-machine"),
    )
    assert added.code == 0
    return server


def test_a_fresh_machine_is_checked_prepared_used_and_put_back(
    run: Run, vm: WinRMServer, machine: Machine, tmp_path: Path, hello: Path
) -> None:
    fresh = machine.state
    checked = run("check", "vm")
    assert checked.code == 1
    assert "MISSING  test signing: not set" in checked.out
    assert "MISSING  WinRM: sessions at the same time: 5" in checked.out
    assert "ok       Secure Boot off: off" in checked.out
    assert machine.state == fresh  # looking changes nothing

    unasked = run("prepare", "vm")
    assert unasked.code == 2 and "--yes" in unasked.error
    assert "change: test signing: not set -> on (after a restart)" in unasked.out
    assert "change: small crash dump: 7 -> 3 (after a restart)" in unasked.out
    assert machine.state == fresh

    done = run("prepare", "vm", "--yes")
    assert done.code == 0 and "13 settings changed" in done.out
    assert machine.state["bcd"] == {"testsigning": "on"}
    between = run("check", "vm")
    assert "MISSING  test signing since the start: set, not in force yet" in between.out
    again = run("prepare", "vm", "--yes", "--restart")
    assert "nothing to change" in again.out and "restarts" in again.out
    checked = run("check", "vm", "--json")
    assert checked.code == 0
    assert all(json.loads(line)["ok"] for line in checked.out.splitlines())
    assert machine.state["boots"] == fresh["boots"] + 1

    # Something that was right is broken, and mended: what undo knows is from before all that.
    state = machine.state
    state["wsman"]["MaxEnvelopeSizekb"] = "200"
    machine.change(**state)
    assert "1 setting changed" in run("prepare", "vm", "--yes").out
    there = {p.name.partition("-")[0]: p for p in machine.path(FOLDER).iterdir()}
    signed = there["dbgtap"].read_bytes()
    assert set(there) == {"agent", "dbgtap"} and signed != capture_driver().read_bytes()
    assert signed == signing.sign(capture_driver().read_bytes(), signing.identity())
    put_back = run("prepare", "vm", "--undo", "--yes")
    assert put_back.code == 0 and "put back: test signing: not set" in put_back.out
    after = machine.state
    for part in ("registry", "bcd", "wsman", "certificates"):
        assert after[part] == fresh[part], part
    assert not (machine.drive / "ProgramData" / "kernellab").exists()
    assert "nothing to change" in run("prepare", "vm", "--undo").out
    assert vm.shells.ids() == []


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("secure_boot", True, "firmware settings"),
        ("administrator", False, "group Administrators"),
        ("free_bytes", 1000, "free a GiB"),
        ("architecture", "ARM64", "x86-64"),
        ("version", "6.1.7601", "Windows 10 or newer"),
        ("clock_off", -4000.0, "w32tm"),
    ],
)
def test_each_thing_that_is_missing_is_explained(
    fact: str, value: object, words: str, run: Run, vm: WinRMServer, machine: Machine
) -> None:
    machine.change(facts={**machine.state["facts"], fact: value})
    checked = run("check", "vm")
    assert checked.code == 1
    lines = checked.out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if words in line]
    assert lines[at - 1].startswith("MISSING")


def test_what_windows_refuses_is_said(run: Run, vm: WinRMServer, machine: Machine) -> None:
    machine.change(facts={**machine.state["facts"], "secure_boot": True})
    refused = run("prepare", "vm", "--yes")
    assert refused.code == 7 and "Secure Boot policy" in refused.error


def test_a_machine_that_is_not_marked_is_not_asked(
    run: Run, serve: Serve, authority: Authority
) -> None:
    server = serve(certificate=authority.issue())
    server.recorded = {"in": [], "out": []}
    words = ("--host", "127.0.0.1", "--port", str(server.port), "--user", USER)
    added = run("add", "vm", *words, "--certificate", str(authority.ca))
    assert "nothing touches it" in added.out
    for command in ("check", "prepare"):
        refused = run(command, "vm")
        assert refused.code == 7 and "lab-machine = true" in refused.error
    assert server.recorded["in"] == []


def test_basic_over_http_is_not_added(run: Run) -> None:
    refused = run("add", "vm", "--host", "x", "--user", "y", "--http", "--basic")
    assert refused.code == 2 and "anybody on the way" in refused.error
    assert not Path("kernellab.toml").exists()


def test_a_certificate_is_fetched_once_and_then_trusted(
    run: Run, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    authority = Authority(tmp_path / "own")
    server = serve(certificate=authority.issue())
    words = ("--host", "127.0.0.1", "--port", str(server.port), "--user", USER, "--lab-machine")
    added = run("add", "vm", *words, "--fetch-certificate")
    assert added.code == 0 and "SHA-256" in added.out
    # It is not self-signed, as Windows' own would be: it alone does not make it trusted.
    assert "authority's certificate" in run("check", "vm").error
    assert 'certificate = "vm.pem"' in Path("kernellab.toml").read_text()


def test_password_into_the_keyring(run: Run, vm: WinRMServer, monkeypatch: Any) -> None:
    import keyring

    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    monkeypatch.delenv("KERNELLAB_PASSWORD_VM")
    monkeypatch.setattr(credentials, "_typed", {})
    try:
        assert "kernellab target password vm" in run("check", "vm").error
        assert run("password", "vm", typed=PASSWORD + "\n").code == 0
        assert memory.kept == {(f"kernellab 127.0.0.1:{vm.port}", USER): PASSWORD}
        assert run("check", "vm").code == 1
        assert "Forgotten" in run("password", "vm", "--forget").out
        assert run("password", "vm", typed="\n").code == 2
    finally:
        keyring.set_keyring(before)


def test_unknown_machines_and_the_script(run: Run) -> None:
    assert "none yet" in run("check", "nix").error
    assert run("prepare").code == 2
    script = run("prepare", "--script")
    assert script.code == 0 and script.out.startswith("#Requires -RunAsAdministrator")
