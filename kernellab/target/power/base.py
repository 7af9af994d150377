"""What can be done to a virtual machine from outside: start, stop, reset, snapshot, revert.

``kernellab.toml`` says how, in a table of the target::

    [targets.my-vm.power]
    kind = "qemu"                     # over QMP
    socket = "/run/user/1000/my-vm.qmp"

or, with programs of VirtualBox, libvirt, VMware or Hyper-V::

    [targets.my-vm.power]
    kind = "commands"
    start = ["VBoxManage", "startvm", "my-vm", "--type", "headless"]
    …
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import PowerError

#: What ``state`` answers.
RUNNING: Final = "running"
OFF: Final = "off"
PAUSED: Final = "paused"
UNKNOWN: Final = "unknown"

#: The snapshot that ``--fresh`` goes back to, unless another is named.
SNAPSHOT: Final = "kernellab"


class Power(ABC):
    """One machine. Everything raises PowerError with what the other side said."""

    @abstractmethod
    def state(self) -> str:
        """RUNNING, OFF, PAUSED or UNKNOWN."""

    @abstractmethod
    def start(self) -> None:
        """Switch it on; nothing where it runs already."""

    @abstractmethod
    def stop(self, grace: float = 60.0) -> None:
        """Ask the system to shut down, wait ``grace`` seconds, then switch it off."""

    @abstractmethod
    def reset(self) -> None:
        """Press the reset button."""

    @abstractmethod
    def snapshot(self, name: str = SNAPSHOT) -> None:
        """Keep disk and memory as they are; one of the same name is replaced."""

    @abstractmethod
    def revert(self, name: str = SNAPSHOT) -> None:
        """Go back to a snapshot; the machine is then as it was."""

    def address(self) -> str:
        """Where it is reached, or nothing where that is not known from outside."""
        return ""


def check(table: Mapping[str, Any]) -> str:
    """What is wrong with a ``power`` table, or nothing."""
    from . import commands, qemu

    kinds: dict[object, Mapping[str, Any]] = {"qemu": qemu.KEYS, "commands": commands.KEYS}
    kind = table.get("kind")
    if kind not in kinds:
        return f"kind of power has to be one of {', '.join(map(str, kinds))}"
    for key, value in table.items():
        if key == "kind":
            continue
        if key not in kinds[kind]:
            return f"unknown key {key!r} of power; there are: {', '.join(kinds[kind])}"
        wanted = kinds[kind][key]
        words = wanted is list and isinstance(value, list)
        if not isinstance(value, wanted) or (words and not all(isinstance(w, str) for w in value)):
            return f"{key} of power has to be {'a list of words' if wanted is list else 'text'}"
        if value in ("", []):
            return f"{key} of power is empty"
    if table.get("revert-from", "off") != "off":
        return 'revert-from of power has to be "off"'
    missing = [key for key in ("socket",) if kind == "qemu" and key not in table]
    return f"{missing[0]} of power is missing" if missing else ""


def power(table: Mapping[str, Any], folder: Path) -> Power:
    """The backend that a table names; paths in it are relative to ``folder``."""
    from .commands import Commands
    from .qemu import Qemu

    if wrong := check(table):
        raise PowerError(wrong)
    return Qemu(table, folder) if table["kind"] == "qemu" else Commands(table)
