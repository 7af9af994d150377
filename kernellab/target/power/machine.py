"""The command lines of a QEMU machine for Windows: to install it, and to run it after that."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: What accelerates on which system, before software emulation.
_ACCELERATORS: Final = {"linux": "kvm", "darwin": "hvf", "win32": "whpx"}
#: Where monitor and serial port are where there are no Unix sockets.
_PORTS: Final = {"qmp": 4444, "kd": 4555}


@dataclass(frozen=True, slots=True)
class QemuMachine:
    """A PC with a BIOS (so without Secure Boot), IDE disk and e1000: Windows has their drivers.

    ``port`` is the one of this computer's that leads to the machine's WinRM. ``folder`` has the
    disk, and the sockets of monitor and serial port.
    """

    name: str
    folder: Path
    port: int
    memory: str = "4G"
    processors: int = 4
    headless: bool = False
    program: str = "qemu-system-x86_64"

    @property
    def disk(self) -> Path:
        return self.folder / f"{self.name}.qcow2"

    def place(self, what: str) -> str:
        """Where ``qmp`` or ``kd`` is, as kernellab.toml has it."""
        if hasattr(socket, "AF_UNIX"):
            return str(self.folder / f"{self.name}.{what}")
        return f"127.0.0.1:{_PORTS[what]}"

    def _chardev(self, what: str) -> list[str]:
        place = self.place(what)
        if hasattr(socket, "AF_UNIX"):
            where = f"path={_escaped(place)}"
        else:
            host, _, port = place.rpartition(":")
            where = f"host={host},port={port}"
        return ["-chardev", f"socket,id={what},{where},server=on,wait=off"]

    def make_disk(self, size: str) -> list[str]:
        """The command that makes the disk; it takes space as Windows fills it."""
        return ["qemu-img", "create", "-q", "-f", "qcow2", str(self.disk), size]

    def run(self) -> list[str]:
        """The command that runs it, once Windows is on its disk."""
        first = _ACCELERATORS.get(sys.platform)
        out = [self.program, "-name", self.name, "-machine", "pc"]
        for each in [first, "tcg"] if first else ["tcg"]:
            out += ["-accel", each]
        out += ["-cpu", "max", "-smp", str(self.processors), "-m", self.memory]
        out += ["-rtc", "base=localtime", "-usb", "-device", "usb-tablet"]
        out += ["-drive", f"file={_escaped(self.disk)},format=qcow2,if=ide,index=0"]
        forward = f"hostfwd=tcp:127.0.0.1:{self.port}-:5986"
        out += ["-nic", f"user,model=e1000,{forward}"]
        out += [*self._chardev("qmp"), "-mon", "chardev=qmp,mode=control"]
        out += [*self._chardev("kd"), "-serial", "chardev:kd"]
        if self.headless:
            out += ["-display", "none", "-vnc", "127.0.0.1:0,to=99"]
        return out

    def install(self, iso: Path, floppy: Path) -> list[str]:
        """The command that installs Windows from ``iso`` with the answers on ``floppy``."""
        return [
            *self.run(),
            *("-drive", f"file={_escaped(iso)},media=cdrom,if=ide,index=2,readonly=on"),
            *("-drive", f"file={_escaped(floppy)},format=raw,if=floppy,readonly=on"),
            *("-boot", "order=cd"),
        ]

    def tables(self) -> str:
        """What belongs to the target in kernellab.toml, from ``kd`` on."""

        def text(value: Any) -> str:
            return json.dumps(value, ensure_ascii=False)  # TOML's basic strings, and lists of them

        return (
            f"kd = {text(self.place('kd'))}\n\n[targets.{self.name}.power]\n"
            f'kind = "qemu"\nsocket = {text(self.place("qmp"))}\ncommand = {text(self.run())}\n'
        )


def _escaped(path: Path | str) -> str:
    """A path in one of QEMU's lists of options."""
    return str(path).replace(",", ",,")
