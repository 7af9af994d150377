"""Registers at a bug check: which of them the instruction used, and what their values look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..protocol import BugcheckEvent

#: What fills memory that holds nothing yet: the simulator's pool, and what compilers and kernels
#: are known for.
_FILLS: Final = {
    **dict.fromkeys((0xCD, 0xB3, 0xD6, 0xA9, 0x97), "pool that nothing was written to yet"),
    0xDD: "memory that was freed",
    0xFE: "memory that was freed",
    0xCC: "a stack that nothing was written to yet",
    0xAA: "memory that was never initialized",
}
_USER_END: Final = 0x7FFF_FFFF_FFFF
_KERNEL: Final = 0xFFFF_8000_0000_0000
_NEAR_NULL: Final = 0x10000

_MEMORY: Final = re.compile(r"\[([^\]]*)\]")
_NAME: Final = re.compile(r"\b(?:r(?:[a-d]x|[sd]i|[bs]p|1[0-5]|[89])|e(?:[a-d]x|[sd]i|[bs]p))\b")


def used(instruction: str) -> set[str]:
    """The registers that the instruction's address is made of."""
    inside = " ".join(_MEMORY.findall(instruction))
    return {re.sub("^e", "r", name) for name in _NAME.findall(inside)}


def notes(event: BugcheckEvent) -> Mapping[str, str]:
    """What is to be said of registers, by name: of those that the address was made of, and of
    those that hold what fills unused memory."""
    address = used(event.instruction)
    found = {}
    for name, text in event.registers.items():
        try:
            value = int(text, 16)
        except ValueError:
            continue
        said = _fill(value)
        if not said and name in address:
            said = _kind(value)
        if name in address and said:
            said = f"{said}: the address was made of it"
        if said:
            found[name] = said
    return found


def _fill(value: int) -> str:
    first = value & 0xFF
    if value in (int.from_bytes(bytes([first]) * size, "big") for size in (4, 8)):
        what = _FILLS.get(first)
        return f"{first:02X} repeated: {what}" if what else ""
    if value >> 32 == 0xFEEEFEEE or value & 0xFFFFFFFF == 0xFEEEFEEE:
        return "FEEE repeated: memory that was freed"
    return ""


def _kind(value: int) -> str:
    if value == 0:
        return "NULL"
    if value < _NEAR_NULL:
        return "close to NULL: a field or element of a null pointer"
    if value <= _USER_END:
        return "an address of programs, not of the kernel"
    if value < _KERNEL:
        return "no address that a processor accepts"
    return ""
