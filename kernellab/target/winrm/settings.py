"""What a Windows machine needs to be a lab target: each setting, and what it is for."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

_KERNELLAB: Final = r"HKLM:\SOFTWARE\kernellab"
_CONTROL: Final = r"HKLM:\SYSTEM\CurrentControlSet\Control"

#: Where what was there before is kept on the machine, for ``--undo``.
UNDO: Final = {"kind": "registry", "path": _KERNELLAB, "name": "Undo", "type": "String"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing on the machine. ``wanted`` is a number, text, or what a certificate is made of."""

    title: str
    why: str
    kind: str
    name: str
    wanted: int | str
    path: str = ""
    type: str = "DWord"
    #: More than ``wanted`` is right too.
    at_least: bool = False
    #: Whether it counts only after a restart.
    restart: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind}|{self.path}|{self.name}"

    @property
    def shown(self) -> str:
        """What is wanted, for people."""
        if self.kind == "certificate":
            return "present"
        return f"{'at least ' if self.at_least else ''}{self.wanted}"

    def item(self, value: Any = None) -> dict[str, Any]:
        """As the scripts take it."""
        return {
            **{"kind": self.kind, "path": self.path, "name": self.name, "type": self.type},
            "value": value,
        }

    def right(self, found: Any) -> bool:
        """Whether what was found there will do."""
        if found is None:
            return False
        if self.kind == "certificate":
            return True
        if self.at_least or isinstance(self.wanted, int):
            try:
                number = int(found)
            except (TypeError, ValueError):
                return False
            return number >= int(self.wanted) if self.at_least else number == int(self.wanted)
        return str(found).lower() == self.wanted.lower()


def settings(certificate: bytes, thumbprint: str) -> list[Setting]:
    """All settings, the mark first; ``certificate`` (DER) is what drivers are signed with."""
    blob = base64.b64encode(certificate).decode()
    guard = rf"{_CONTROL}\DeviceGuard\Scenarios\HypervisorEnforcedCodeIntegrity"
    prints, crash = rf"{_CONTROL}\Session Manager\Debug Print Filter", rf"{_CONTROL}\CrashControl"
    # title, what for, key, value's name, wanted
    registry = [
        (
            "debug prints of DEFAULT",
            "the kernel drops what its filter lacks",
            prints,
            "DEFAULT",
            0xF,
        ),
        ("debug prints of IHVDRIVER", "as above; println! prints as it", prints, "IHVDRIVER", 0xF),
        ("memory integrity off", "it refuses test-signed drivers", guard, "Enabled", 0),
        ("small crash dump", "a bug check leaves a file to read", crash, "CrashDumpEnabled", 3),
        ("restart after a bug check", "it comes back by itself", crash, "AutoReboot", 1),
    ]
    out = [
        Setting(
            "mark of a lab machine",
            "kernellab puts nothing on a machine without it",
            "registry",
            "LabMachine",
            1,
            _KERNELLAB,
        ),
        Setting(
            "test signing",
            "Windows loads drivers that are signed by a certificate of your own",
            "bcd",
            "testsigning",
            "on",
            restart=True,
        ),
    ]
    for store in ("Root", "TrustedPublisher"):
        why = "Windows and its tools trust what is signed with it"
        title = f"test certificate in {store}"
        out.append(Setting(title, why, "certificate", thumbprint, blob, store))
    out += [
        Setting(title, why, "registry", name, wanted, path, restart=True)
        for title, why, path, name, wanted in registry
    ]
    quotas = {
        r"Shell\MaxShellsPerUser": (30, "sessions at the same time"),
        r"Shell\MaxProcessesPerShell": (25, "programs in one session"),
        r"Shell\MaxMemoryPerShellMB": (1024, "memory of one session"),
        r"Shell\IdleTimeout": (7_200_000, "milliseconds until an idle session ends"),
        "MaxEnvelopeSizekb": (500, "size of one message"),
    }
    out += [
        Setting(f"WinRM: {what}", "WinRM's own quotas", "wsman", name, least, at_least=True)
        for name, (least, what) in quotas.items()
    ]
    return out
