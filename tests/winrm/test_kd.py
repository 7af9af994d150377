"""The serial line of kernel debugging as a second capture of a target.

The simulator stands at the far end of the transport, as in :mod:`tests.winrm.test_transport`; the
serial port is a real QEMU's, whose boot sector speaks as Windows does, or a socket of the test.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import kernellab
from kernellab.errors import ConfigError, TargetLost
from kernellab.target import config, kd_line
from kernellab.target.kd_line import KdLine
from kernellab.target.winrm.target import power_of
from tests.target.serial_port import boot, boot_sector, print_packet
from tests.winrm.machine import Machine
from tests.winrm.server import WinRMServer

QEMU = shutil.which("qemu-system-x86_64")
Serve = Callable[..., WinRMServer]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    kd_line.close_all()


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


class Port:
    """The machine's side of a serial port."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.number = self._server.getsockname()[1]
        self._open: socket.socket | None = None

    def send(self, *packets: bytes) -> None:
        """Send packets, each when the one before was answered."""
        if self._open is None:
            self._open, _ = self._server.accept()
            self._open.settimeout(20)
        for each in packets:
            self._open.sendall(each)
            answer = b""
            while len(answer) < 16:
                answer += self._open.recv(16 - len(answer))

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._server.close()


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


def test_boot_and_last_words_are_in_the_log_and_nothing_twice(
    serve: Serve,
    machine: Machine,
    vm: Any,
    agent: Path,
    fast: None,
    port: Port,
    hello: Path,
) -> None:
    server = serve()
    named = vm(server, f'kd = "127.0.0.1:{port.number}"\npatience = 1')
    listener = kd_line.line(kd_line.where(named.kd, named.folder))
    port.send(*boot(["boot one\n", "boot two\n"]))
    with kernellab.connect("my-vm", program=agent) as lab:
        driver = lab.load(hello)
        assert driver.log.lines == ["[kd] boot one", "[kd] boot two", "hello from the kernel"]
        # What the agent has told comes over the line too, later; and then what it did not get to.
        port.send(print_packet("hello from the kernel\n", 2), print_packet("last words\n", 3))
        until(lambda: len(listener._alone) == 1)
        assert lab.status()["state"] == "running"
        assert driver.log.lines[-1] == "hello from the kernel"
        server.reboot()
        port.send(*boot(["boot three\n"]))
        until(lambda: listener.boots == 2 and len(listener._alone) == 2)
        with pytest.raises(TargetLost):
            lab.sleep(0)
        assert driver.log.lines[2:] == ["hello from the kernel", "[kd] last words"]
        again = lab.load(hello)
        assert again.log.lines[-2:] == ["[kd] boot three", "hello from the kernel"]
        assert "[kd] boot three" not in again.log.lines[:-2]


def test_a_print_that_both_have_is_one_whoever_is_first() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    listener = KdLine(server.getsockname())
    machine, _ = server.accept()
    until(lambda: listener.connected)
    listener.began(only=False)
    listener.told("agent first\n")
    machine.sendall(print_packet("agent first\n", 0) + print_packet("kd first\n", 1))
    machine.sendall(print_packet("kd alone\n", 2) + print_packet("kd first\n", 3))
    until(lambda: len(listener._alone) == 3)
    listener.told("kd first\n")
    assert listener.alone() == []  # they are of the session: the agent may tell of them yet
    assert listener.alone(lost=True) == ["[kd] kd alone\n", "[kd] kd first\n"]
    listener.began(only=True)  # no agent hears prints: all that comes is told at once
    machine.sendall(print_packet("live\n", 4))
    until(lambda: len(listener._alone) == 1)
    assert listener.alone() == ["[kd] live\n"]
    machine.close()  # switched off, and on again
    machine, _ = server.accept()
    machine.sendall(print_packet("on again\n", 0))
    until(lambda: len(listener._alone) == 1)
    listener.close()
    machine.close()
    server.close()


#: An agent whose capture driver Windows refuses to load.
DEAF = """#!python
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    reply = {"reply": request["id"], "ok": True, "protocol": 1, "features": []}
    reply["info"] = {"capture": "the capture driver cannot be loaded: 0xc0000428"}
    print(json.dumps(reply), flush=True)
"""

#: One that has lines from before it was started.
EARLY = """
for number in range(1, 1004):
    event = {"event": "dbgprint", "seq": number, "text": f"line {number}", "time": -1.0}
    print(json.dumps(event), flush=number == 1003)
"""
HEARS = DEAF.replace("sys\n", f"sys{EARLY}", 1).replace(
    "the capture driver cannot be loaded: 0xc0000428", "on"
)


def test_where_the_agent_hears_nothing_the_line_is_the_log(
    serve: Serve, vm: Any, tmp_path: Path, port: Port, hello: Path
) -> None:
    named = vm(serve(), f'kd = "127.0.0.1:{port.number}"')
    listener = kd_line.line(kd_line.where(named.kd, named.folder))
    (tmp_path / "deaf.exe").write_text(DEAF)
    port.send(*boot(["boot\n"]))
    with pytest.warns(UserWarning, match="DbgPrint on my-vm is not captured.*0xc0000428"):
        lab = kernellab.connect("my-vm", program=tmp_path / "deaf.exe")
    with lab:
        driver = lab.load(hello)
        port.send(print_packet("hello\n", 1))
        until(lambda: len(listener._alone) == 1)
        lab.sleep(0)
        assert driver.log.lines == ["[kd] boot", "[kd] hello"]


def test_lines_from_before_are_in_the_log_of_the_first_driver(
    serve: Serve, vm: Any, tmp_path: Path, hello: Path
) -> None:
    vm(serve())
    (tmp_path / "hears.exe").write_text(HEARS)
    with kernellab.connect("my-vm", program=tmp_path / "hears.exe") as lab:
        driver = lab.load(hello)
        assert [each.text for each in driver.log] == [f"line {n}" for n in range(4, 1004)]
        assert driver.log.dropped == 3  # so many are kept
        assert lab.load(hello, name="second").log.lines == []


def test_lines_that_nobody_asks_for_are_dropped_and_counted(port: Port) -> None:
    listener = KdLine(("127.0.0.1", port.number))
    count = kd_line.KEPT + 7
    port.send(*(print_packet(f"{n}\n", n) for n in range(count)))
    until(lambda: listener.dropped == 7)
    listener.began(only=False)
    lines = listener.alone()
    assert lines[:2] == ["[kd] 7 lines before these were dropped\n", "[kd] 7\n"]
    assert lines[-1] == f"[kd] {count - 1}\n" and listener.alone() == []
    listener.close()


@pytest.mark.skipif(QEMU is None, reason="QEMU is not installed")
def test_the_serial_port_of_a_machine_in_qemu(
    serve: Serve,
    vm: Any,
    agent: Path,
    tmp_path: Path,
    hello: Path,
) -> None:
    (tmp_path / "boot.img").write_bytes(boot_sector(boot(["in real mode\n", "COM1 says so\n"])))
    command = [
        *(str(QEMU), "-accel", "tcg", "-m", "32", "-display", "none", "-nodefaults", "-S"),
        *("-no-user-config", "-drive", "file=boot.img,format=raw,if=floppy", "-boot", "a"),
        *("-qmp", "unix:qmp.sock,server=on,wait=off", "-serial", "unix:kd.sock,server=on,wait=off"),
    ]
    power = f'[targets.my-vm.power]\nkind = "qemu"\nsocket = "qmp.sock"\ncommand = {command}\n'
    named = vm(serve(), f'kd = "kd.sock"\n{power}')
    machine = power_of(named)
    listener = kd_line.line(kd_line.where(named.kd, named.folder))
    try:
        machine.start()
        until(lambda: listener.connected)
        machine.start()  # it was stopped before its first instruction
        until(lambda: len(listener._alone) == 2)
        with kernellab.connect("my-vm", program=agent) as lab:
            log = lab.load(hello).log.lines
        assert log == ["[kd] in real mode", "[kd] COM1 says so", "hello from the kernel"]
    finally:
        machine.stop(grace=0)
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    assert left == []


def test_a_wrong_place_is_said(tmp_path: Path) -> None:
    path = tmp_path / "kernellab.toml"
    path.write_text('[targets.vm]\nhost = "h"\nuser = "u"\nkd = 5\n')
    with pytest.raises(ConfigError, match="kd has to be text"):
        config.read(path)
    assert kd_line.where("[::1]:4555", tmp_path) == ("::1", 4555)
    assert kd_line.where("vm.kd", tmp_path) == str(tmp_path / "vm.kd")
