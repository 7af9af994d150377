"""Object types: what the generic access rights mean for each, and which rights it has.

WDK pages: "ACCESS_MASK", "Access Rights" of each type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_STANDARD: Final = 0x000F_0000
_SYNCHRONIZE: Final = 0x0010_0000
_READ_CONTROL: Final = 0x0002_0000
_ACCESS_SYSTEM_SECURITY: Final = 0x0100_0000
_MAXIMUM_ALLOWED: Final = 0x0200_0000
_GENERIC: Final = (0x8000_0000, 0x4000_0000, 0x2000_0000, 0x1000_0000)


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A type's name and what GENERIC_READ, _WRITE, _EXECUTE and _ALL stand for."""

    name: str
    read: int
    write: int
    execute: int
    everything: int

    def map(self, access: int) -> int:
        """``access`` with generic rights replaced by the type's own; all for MAXIMUM_ALLOWED."""
        given = (self.read, self.write, self.execute, self.everything)
        granted = access & 0x0FFF_FFFF & ~_MAXIMUM_ALLOWED
        for generic, specific in zip(_GENERIC, given, strict=True):
            if access & generic:
                granted |= specific
        if access & _MAXIMUM_ALLOWED:
            granted |= self.everything
        return granted & (self.everything | _ACCESS_SYSTEM_SECURITY)


def _type(
    name: str, specific: int, read: int, write: int, execute: int, sync: int = 0
) -> ObjectType:
    standard = _READ_CONTROL
    everything = _STANDARD | sync | specific
    return ObjectType(name, standard | read, standard | write, standard | execute, everything)


#: Object types by name. Rights of a type that no WDK page lists are all of its specific ones.
OBJECT_TYPES: Final[Mapping[str, ObjectType]] = {
    entry.name: entry
    for entry in (
        _type("Directory", 0xF, 0x3, 0xC, 0x3),
        _type("SymbolicLink", 0x1, 0x1, 0x0, 0x1),
        _type("Event", 0x3, 0x1, 0x2, _SYNCHRONIZE, _SYNCHRONIZE),
        _type("Semaphore", 0x3, 0x1, 0x2, _SYNCHRONIZE, _SYNCHRONIZE),
        _type("Mutant", 0x1, 0x1, 0x0, _SYNCHRONIZE, _SYNCHRONIZE),
        _type("Timer", 0x3, 0x1, 0x2, _SYNCHRONIZE, _SYNCHRONIZE),
        _type("Callback", 0x1, 0x0, 0x1, _SYNCHRONIZE, _SYNCHRONIZE),
        _type("Key", 0x3F, 0x19, 0x6, 0x19),
        _type("Section", 0x1F, 0x5, 0x2, 0x8),
        _type("Process", 0xFFFF, 0x410, 0xB2A, _SYNCHRONIZE | 0x1001, _SYNCHRONIZE),
        _type("Thread", 0xFFFF, 0x48, 0x437, _SYNCHRONIZE | 0x804, _SYNCHRONIZE),
        _type("Token", 0x1FF, 0x8, 0xE0, 0x0),
        _type(
            "File",
            0x1FF,
            _SYNCHRONIZE | 0x89,
            _SYNCHRONIZE | 0x116,
            _SYNCHRONIZE | 0xA0,
            _SYNCHRONIZE,
        ),
        _type("Device", 0x1FF, 0x89, 0x116, 0xA0, _SYNCHRONIZE),
        _type("Driver", 0xFFFF, 0x0, 0x0, 0x0),
    )
}


def type_of(name: str) -> ObjectType:
    """The type called ``name``; one without rights of its own where it is not listed."""
    return OBJECT_TYPES.get(name) or ObjectType(name, _READ_CONTROL, 0, 0, 0x1FFFFF)
