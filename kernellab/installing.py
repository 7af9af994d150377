"""``kernellab target install``: a virtual machine for Windows in QEMU, which installs itself."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import PowerError, UsageError

if TYPE_CHECKING:
    from .target.power.machine import QemuMachine

_FLOPPY: Final = "answers.img"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", metavar="NAME", help="what the machine is called")
    parser.add_argument(
        "--iso", type=Path, required=True, metavar="FILE", help="Windows' installation medium"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where disk and answers go (./NAME)"
    )
    parser.add_argument("--user", default="lab", help="an administrator to make there (lab)")
    parser.add_argument(
        "--port", type=int, default=5986, help="this computer's port that leads to its WinRM (5986)"
    )
    parser.add_argument("--size", default="64G", help="the disk's size (64G)")
    parser.add_argument("--memory", default="4G", help="the machine's memory (4G)")
    parser.add_argument(
        "--index", type=int, default=1, help="which image of the medium (1; see docs/windows-vm.md)"
    )
    parser.add_argument("--headless", action="store_true", help="no window, but VNC on 127.0.0.1")
    parser.add_argument("--run", action="store_true", help="start it now; else it is only printed")


def install(given: argparse.Namespace) -> int:
    """Write Windows Setup's answers, and print (or --run) what installs it in QEMU.

    User and port are those of kernellab.toml where the target is there already.
    """
    from .target import config, credentials
    from .target.power.machine import QemuMachine
    from .target.winrm import answers
    from .target.winrm.target import require_lab

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", given.name):
        raise UsageError(f"{given.name!r} cannot be a target's name: letters, digits, - and _")
    target = config.machines().get(given.name) or config.Machine(
        given.name, "127.0.0.1", given.user, port=given.port, lab_machine=True
    )
    require_lab(target)
    if not given.iso.is_file():
        raise UsageError(f"there is no {given.iso}")
    folder = (given.folder or Path(given.name)).resolve()
    vm = QemuMachine(target.name, folder, target.port, memory=given.memory, headless=given.headless)
    if vm.disk.exists():
        raise UsageError(f"{vm.disk} is there already, and would be overwritten: remove it first")
    secret = credentials.password(target)
    image = answers.disk(answers.answer_file(target.user, secret, index=given.index))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    floppy = folder / _FLOPPY
    _write_private(floppy, image)
    print(
        f"{floppy} has the answers for Windows Setup, and the password of {target.user}: remove it"
    )
    print("when Windows is installed.\n")
    commands = vm.make_disk(given.size), vm.install(given.iso.resolve(), floppy)
    if given.run:
        _run(vm, *commands)
        print(f"{target.name} installs itself, which takes about half an hour with acceleration.")
    else:
        print("To install it:\n")
        for command in commands:
            print(f"  {_shown(command)}")
    print(
        "\nWhen Windows has logged on by itself:\n\n"
        f"  kernellab target add {target.name} --host 127.0.0.1 --port {target.port} "
        f"--user {target.user} --lab-machine --fetch-certificate --global\n"
        f"  kernellab target password {target.name}\n"
        f"  kernellab target prepare {target.name} --restart\n\n"
        "And in the file that `add` names, so that kernellab switches it on and off and hears it "
        f"boot:\n\n{vm.tables()}"
    )
    return 0


def _shown(command: list[str]) -> str:
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def _run(vm: QemuMachine, make_disk: list[str], command: list[str]) -> None:
    from .target.power.qemu import Qemu

    for program in (make_disk[0], command[0]):
        if shutil.which(program) is None:
            raise PowerError(f"{program} is not installed (Debian: qemu-system-x86 and qemu-utils)")
    made = subprocess.run(make_disk, capture_output=True, text=True, check=False)
    if made.returncode:
        raise PowerError(f"{make_disk[0]} failed: {made.stderr.strip()[-300:]}")
    Qemu({"socket": vm.place("qmp"), "command": command}, vm.folder).start()


def _write_private(path: Path, data: bytes) -> None:
    """A file that only its owner can read, also while it is written."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
