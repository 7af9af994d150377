"""WinRM services for tests, and clients of other people's for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.winrm.certificates import Authority
from tests.winrm.machine import Machine, wine_machine
from tests.winrm.server import WinRMServer

USER, PASSWORD = "lab", "p4ss:wörd 50%"


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
