"""Real Windows programs behind the test service, in Wine: bytes through pywinrm and back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kernellab.target import config
from kernellab.target.credentials import Secret
from kernellab.target.winrm import target
from kernellab.target.winrm.endpoint import WinRMEndpoint
from tests.winrm.conftest import PASSWORD, USER
from tests.winrm.machine import SERVER, WINE, Machine
from tests.winrm.server import WinRMServer

GCC = shutil.which("x86_64-w64-mingw32-gcc")
pytestmark = [
    pytest.mark.skipif(not WINE.exists() or not SERVER.exists(), reason="Wine is not installed"),
    pytest.mark.skipif(GCC is None, reason="mingw-w64 is not installed"),
    pytest.mark.slow,
]

PROGRAM = r"""
#include <windows.h>
/* Upper case of what comes in, until it ends; 42 then. */
int main(void) {
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
    static char b[65536];
    DWORD n, w;
    while (ReadFile(in, b, sizeof b, &n, NULL) && n) {
        CharUpperBuffA(b, n);
        for (DWORD at = 0; at < n; at += w)
            if (!WriteFile(out, b + at, n - at, &w, NULL)) return 1;
    }
    return 42;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "upper.c").write_text(PROGRAM)
    line = [str(GCC), "-O1", "-o", "upper.exe", "upper.c"]
    subprocess.run(line, cwd=folder, check=True, timeout=100)
    return folder / "upper.exe"


def test_a_windows_program_is_put_there_and_its_streams_are_bytes(
    wine_prefix: Path, program: Path, serve: Callable[..., WinRMServer], tmp_path: Path
) -> None:
    root = tmp_path / "wine-machine"
    root.mkdir()
    machine = Machine(root, prefix=wine_prefix)
    machine.change(registry={r"HKLM:\SOFTWARE\kernellab|LabMachine": ["DWord", 1]})
    server = serve(on=machine)
    there = config.Machine("vm", "127.0.0.1", USER, "http", server.port, lab_machine=True)
    secret = Secret(PASSWORD)
    target.put(there, secret, r"C:\ProgramData\kernellab\upper.exe", program.read_bytes())
    endpoint = WinRMEndpoint(there, secret, r"C:\ProgramData\kernellab\upper.exe")
    try:
        sent = bytes(range(128)) * 2000  # more than one message can hold
        endpoint.writer.write(sent)
        endpoint.writer.flush()
        got = b""
        while len(got) < len(sent):
            part = endpoint.reader.read1(65536)  # type: ignore[attr-defined]
            assert part, endpoint.last_words()
            got += part
        assert got == sent.upper()
        endpoint._sender.call(
            lambda p: p.send_command_input(endpoint._shell, endpoint._command, b"", end=True)
        )
        endpoint._thread.join(30)
        assert endpoint.exit_code == 42
    finally:
        endpoint.stop()
    assert server.shells.ids() == []


def test_programs_of_the_system(
    wine_prefix: Path, serve: Callable[..., WinRMServer], tmp_path: Path
) -> None:
    root = tmp_path / "wine-machine"
    root.mkdir()
    server = serve(on=Machine(root, prefix=wine_prefix))
    there = config.Machine("vm", "127.0.0.1", USER, "http", server.port, lab_machine=True)
    endpoint = WinRMEndpoint(there, Secret(PASSWORD), "cmd.exe", '/c "echo hello from cmd"')
    endpoint._thread.join(60)
    assert endpoint.exit_code == 0
    assert endpoint.reader.read().strip() == b"hello from cmd"
    endpoint.stop()
