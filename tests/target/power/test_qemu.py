"""QEMU's power switch and snapshots, on a real QEMU without any system on its disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kernellab.errors import PowerError
from kernellab.target.power.base import OFF, PAUSED, RUNNING, power
from kernellab.target.power.qemu import Qemu, _Session

QEMU, IMG = shutil.which("qemu-system-x86_64"), shutil.which("qemu-img")
pytestmark = [
    pytest.mark.skipif(QEMU is None or IMG is None, reason="QEMU is not installed"),
]


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[Qemu]:
    """A machine with 32 MB and an empty disk; whatever happens, it is off in the end."""
    subprocess.run(
        [str(IMG), "create", "-q", "-f", "qcow2", "disk.qcow2", "64M"], cwd=tmp_path, check=True
    )
    command = [
        *(str(QEMU), "-accel", "tcg", "-m", "32", "-display", "none", "-nodefaults"),
        *("-drive", "file=disk.qcow2,format=qcow2,if=virtio,id=disk0", "-no-user-config"),
        *("-qmp", "unix:qmp.sock,server=on,wait=off"),
    ]
    table = {"kind": "qemu", "socket": "qmp.sock", "command": command}
    machine = power(table, tmp_path)
    assert isinstance(machine, Qemu)
    yield machine
    machine.stop(grace=0)
    assert machine.state() == OFF
    left = [
        p.info["pid"] for p in psutil.process_iter(["pid", "cwd"]) if p.info["cwd"] == str(tmp_path)
    ]
    assert left == []


def write(vm: Qemu, pattern: str) -> None:
    """Have QEMU write the first sector of the disk, as a system in it would."""

    async def run() -> None:
        async with _Session(vm._where) as session:
            line = {"command-line": f'qemu-io disk0 "write -P {pattern} 0 512"'}
            await session.execute("human-monitor-command", line)

    vm._run(run())


def test_on_and_off(vm: Qemu) -> None:
    assert vm.state() == OFF
    vm.start()
    assert vm.state() == RUNNING
    vm.start()  # nothing to do
    vm.reset()
    assert vm.state() == RUNNING
    vm._ask("stop")
    assert vm.state() == PAUSED
    vm.start()
    assert vm.state() == RUNNING
    vm.stop(grace=0.1)  # nothing in it hears the power button
    assert vm.state() == OFF
    vm.stop()


def test_snapshots(vm: Qemu) -> None:
    vm.start()
    with pytest.raises(PowerError, match=r"no snapshot 'kernellab'.*none"):
        vm.revert()
    for pattern in ("0x11", "0x22"):  # the second of the name replaces the first
        write(vm, pattern)
        vm.snapshot()
    vm.snapshot("other")
    write(vm, "0x33")
    vm.revert()
    assert vm.state() == RUNNING
    listed = vm._ask("query-named-block-nodes")
    tags = {s["name"] for n in listed for s in n.get("image", {}).get("snapshots", [])}
    assert tags == {"kernellab", "other"}
    vm.stop(grace=0)
    # The disk itself, asked by another program: what was written after the snapshot is gone.
    path = Path(vm._folder) / "disk.qcow2"
    raw = path.with_name("raw")
    subprocess.run([str(IMG), "convert", "-O", "raw", str(path), str(raw)], check=True)
    with raw.open("rb") as file:
        assert file.read(512) == b"\x22" * 512


def test_what_goes_wrong(vm: Qemu, tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="no QEMU listens"):
        vm.reset()
    with pytest.raises(PowerError, match="no command to start"):
        power({"kind": "qemu", "socket": "none.sock"}, tmp_path).start()
    with pytest.raises(PowerError, match="cannot start"):
        power({"kind": "qemu", "socket": "x", "command": ["/no/qemu"]}, tmp_path).start()
    with pytest.raises(PowerError, match=r"ended with 1: .*unsupported machine"):
        wrong = [str(QEMU), "-machine", "bad-machine"]
        power({"kind": "qemu", "socket": "x", "command": wrong}, tmp_path).start()
    without = [*(str(QEMU), "-machine", "none", "-display", "none"), "-qmp"]
    without += ["unix:bare.sock,server=on,wait=off"]
    bare = power({"kind": "qemu", "socket": "bare.sock", "command": without}, tmp_path)
    bare.start()
    try:
        with pytest.raises(PowerError, match="no qcow2 disk"):
            bare.snapshot()
    finally:
        bare.stop(grace=0)
