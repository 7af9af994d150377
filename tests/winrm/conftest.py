"""WinRM services for tests, and clients of other people's for them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.winrm.certificates import Authority
from tests.winrm.machine import WINE, Machine
from tests.winrm.server import WinRMServer

WINE_SERVER = WINE.with_name("wineserver64")
USER, PASSWORD = "lab", "p4ss:wörd 50%"


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
    # What pyspnego's server side reads; a password with ":" in it needs the other form there.
    from spnego._ntlm_raw.crypto import lmowfv1, ntowfv1

    hashes = f"{lmowfv1(PASSWORD).hex()}:{ntowfv1(PASSWORD).hex()}"
    users = tmp_path / "ntlm-users"
    users.write_text(f"{USER}:1000:{hashes}:[U]:LCT-1589398321\n")
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
    """A clone of the template of the target ``wine``, with its server started beforehand."""
    from kernellab.build import cache
    from kernellab.target.wine import installed, prefix

    made = prefix.ensure(cache.cache_root() / "wine", installed.find())
    folder = Path(tempfile.mkdtemp(prefix="winrm-", dir=cache.cache_root()))
    place = folder / "prefix"
    prefix._copy(made, place)
    (place / "dosdevices").mkdir()
    (place / "dosdevices" / "c:").symlink_to("../drive_c")
    quiet: dict[str, Any] = {
        **{"env": prefix.environment(place), "stdin": subprocess.DEVNULL},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    }
    try:
        subprocess.run([str(WINE_SERVER), "-p"], check=True, timeout=60, **quiet)
        subprocess.run([str(WINE), "hostname"], check=True, timeout=60, **quiet)
        yield place
    finally:
        subprocess.run([str(WINE_SERVER), "-k"], check=False, timeout=60, **quiet)
        subprocess.run([str(WINE_SERVER), "-w"], check=False, timeout=60, **quiet)
        shutil.rmtree(folder)
