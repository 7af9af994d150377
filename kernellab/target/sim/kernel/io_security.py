r"""Who may open a device: SDDL strings, and the check of an open against one.

Of a security descriptor only the discretionary access control list is looked at, and of callers
only two are told apart: administrators and everybody else; the kernel itself may do all. WDK pages:
"Securing Device Objects", "SDDL for Device Objects", "ACCESS_MASK".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .objects import Device

FILE_ALL_ACCESS: Final = 0x1F01FF
_GENERIC: Final = {
    0x8000_0000: 0x120089,  # GENERIC_READ: FILE_GENERIC_READ
    0x4000_0000: 0x120116,
    0x2000_0000: 0x1200A0,
    0x1000_0000: FILE_ALL_ACCESS,
}
_MAXIMUM_ALLOWED: Final = 0x0200_0000

_RIGHTS: Final = {
    **{"GA": 0x1000_0000, "GR": 0x8000_0000, "GW": 0x4000_0000, "GX": 0x2000_0000},
    **{"RC": 0x20000, "SD": 0x10000, "WD": 0x40000, "WO": 0x80000},
    **{"FA": FILE_ALL_ACCESS, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0},
    **{"CC": 1, "DC": 2, "LC": 4, "SW": 8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80},
    "CR": 0x100,
}
#: The groups that a caller is in, by their SDDL names.
_EVERYBODY: Final = frozenset(("WD", "AU", "BU", "IU", "S-1-1-0", "S-1-5-11", "S-1-5-32-545"))
_ADMINISTRATORS: Final = frozenset(("BA", "S-1-5-32-544"))
_KNOWN: Final = _EVERYBODY | _ADMINISTRATORS | {"SY", "LS", "NS", "RC", "AN", "BG", "NU", "SU"}

_DACL: Final = re.compile(r"D:(?:P|AI|AR)*((?:\([^()]*\))*)")


@dataclass(frozen=True, slots=True)
class Ace:
    """One entry of an access control list; rights are specific ones."""

    allow: bool
    rights: int
    who: str


def parse_sddl(text: str) -> tuple[Ace, ...]:
    """The list of ``D:P(A;;GA;;;SY)…``. ValueError where it is not the subset devices may use."""
    match = _DACL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not D:P and entries in parentheses")
    entries = re.findall(r"\(([^()]*)\)", match[1])
    return tuple(_ace(entry) for entry in entries)


def _ace(entry: str) -> Ace:
    parts = entry.split(";")
    if len(parts) != 6 or parts[0] not in ("A", "D") or parts[1] or parts[3] or parts[4]:
        raise ValueError(f"({entry}) is not an entry of the form A;;rights;;;who")
    rights, who = parts[2], parts[5]
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", rights):
        mask = int(rights, 16)
    else:
        names = [rights[n : n + 2] for n in range(0, len(rights), 2)]
        if any(name not in _RIGHTS for name in names):
            raise ValueError(f"({entry}) has unknown rights")
        mask = 0
        for name in names:
            mask |= _RIGHTS[name]
    if who not in _KNOWN and not re.fullmatch(r"S-1-\d+(-\d+)+", who):
        raise ValueError(f"({entry}) is for nobody known")
    return Ace(parts[0] == "A", specific(mask), who)


def specific(mask: int) -> int:
    """An access mask with its generic rights turned into a file's own."""
    for generic, rights in _GENERIC.items():
        if mask & generic:
            mask = mask & ~generic | rights
    return mask


def check(device: Device, wanted: int, *, admin: bool, kernel: bool = False) -> int | None:
    """The specific rights that an open gets, None where the device's list denies it.

    A device that was made without a list is open to everybody, as most are by default.
    """
    wanted = specific(wanted)
    anything = wanted & _MAXIMUM_ALLOWED
    wanted &= ~_MAXIMUM_ALLOWED
    if kernel or device.acl is None:
        return FILE_ALL_ACCESS if anything else wanted
    groups = _EVERYBODY | _ADMINISTRATORS if admin else _EVERYBODY
    denied = allowed = 0
    for ace in device.acl:
        if ace.who in groups:
            if ace.allow:
                allowed |= ace.rights & ~denied
            else:
                denied |= ace.rights & ~allowed
    if wanted & ~allowed:
        return None
    return allowed if anything else wanted
