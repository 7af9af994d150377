"""WinRM services for tests, and clients of other people's for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernellab.target import config
from kernellab.target.winrm import channel
from tests.winrm.certificates import Authority
from tests.winrm.machine import Machine, wine_machine
from tests.winrm.server import WinRMServer

USER, PASSWORD = "lab", "p4ss:wörd 50%"

ROOT = Path(__file__).parents[2]

#: A guest agent of another kind: the simulator, which speaks the same protocol, on this disk.
AGENT = f"""#!python
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from kernellab.target.sim import endpoint
class Agent(endpoint.Endpoint):
    def _boot(self):
        self._settings["files"] = os.getcwd()
        return super()._boot()
endpoint.Endpoint = Agent
endpoint.main()
"""


def ntlm_users() -> str:
    """What pyspnego's server side reads; a password with ":" in it needs this form there."""
    from spnego._ntlm_raw.crypto import lmowfv1, ntowfv1

    hashes = f"{lmowfv1(PASSWORD).hex()}:{ntowfv1(PASSWORD).hex()}"
    return f"{USER}:1000:{hashes}:[U]:LCT-1589398321\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "machine"
    root.mkdir()
    return Machine(root)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., WinRMServer]]:
    """Start a service with one user; it is ended with the test."""
    started: list[WinRMServer] = []
    users = tmp_path / "ntlm-users"
    users.write_text(ntlm_users())
    monkeypatch.setenv("NTLM_USER_FILE", str(users))

    def start(**options: Any) -> WinRMServer:
        server = WinRMServer(options.pop("on", machine), {USER: PASSWORD}, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def wine_prefix() -> Iterator[Path]:
    """A Wine machine of its own, running."""
    with wine_machine() as place:
        yield place


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agent.exe"
    path.write_text(AGENT)
    return path


@pytest.fixture
def vm(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[WinRMServer], config.Machine]:
    """Name a service's machine in kernellab.toml, mark it, and give the password."""
    machine.change(registry={r"HKLM:\SOFTWARE\kernellab|LabMachine": ["DWord", 1]})
    monkeypatch.setenv("KERNELLAB_PASSWORD_MY_VM", PASSWORD)
    monkeypatch.setenv(config.VARIABLE, str(tmp_path / "kernellab.toml"))

    def name(server: WinRMServer, more: str = "", lab: str = "true") -> config.Machine:
        scheme = "https" if server.certificate else "http"
        certificate = f'certificate = "{tmp_path / "ca.pem"}"\n' if server.certificate else ""
        (tmp_path / "kernellab.toml").write_text(
            f'[targets.my-vm]\nhost = "127.0.0.1"\nport = {server.port}\nuser = "{USER}"\n'
            f'scheme = "{scheme}"\nlab-machine = {lab}\n{certificate}{more}\n'
        )
        return config.machines()["my-vm"]

    return name


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are held back for a second at most, so that silence is noticed soon."""
    monkeypatch.setattr(channel, "OPERATION", 1)
    defaults = {"operation": 1, "read": 2}
    monkeypatch.setattr(channel.Channel.__init__, "__kwdefaults__", defaults)
