"""What Windows leaves of a bug check: a small memory dump (DUMP_HEADER64, TRIAGE_DUMP64).

It says the code, the four parameters, the registers, the loaded drivers and the top of the stack.
Frames are found without symbols of Windows: the address that the bug check names, and what on the
stack points into the code of the drivers that were asked for, innermost first. That is a guess
where an old return address was left on the stack. Not tried on a dump of real Windows.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Final

from .. import ntdata
from ..protocol import BugcheckEvent, Frame

#: IMAGE_FILE_MACHINE_AMD64, and DumpType of a small dump.
_AMD64: Final = 0x8664
TRIAGE: Final = 4

_CODE, _PARAMETERS, _CONTEXT, _TYPE = 0x38, 0x40, 0x348, 0xF98
_TRIAGE_DUMP: Final = 0x2000
_DRIVER_ENTRY: Final = 0xA8
_MOST_DRIVERS, _MOST_STACK, _MOST_FRAMES = 4096, 1 << 20, 32
#: Of the CONTEXT: where each register is.
_REGISTERS: Final = {
    name: 0x78 + 8 * index
    for index, name in enumerate(
        "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip".split()
    )
}


class DumpError(ValueError):
    """Not a kernel dump of an x86-64 Windows, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Module:
    """A driver that was loaded: its file's name, base address, size in bytes."""

    name: str
    base: int
    size: int


@dataclass(frozen=True, slots=True)
class Minidump:
    code: int
    parameters: tuple[int, int, int, int]
    registers: dict[str, int]
    modules: tuple[Module, ...]
    #: The top of the stack, 8 bytes a value, innermost first.
    stack: tuple[int, ...]

    def event(self, ours: Collection[str]) -> BugcheckEvent:
        """As the protocol tells it; ``ours`` are the names of the drivers whose frames count."""
        wanted = {f"{name}.sys".lower(): name for name in ours}
        own = {m: wanted[m.name.lower()] for m in self.modules if m.name.lower() in wanted}
        frames = tuple(self._frames(own))
        return BugcheckEvent(
            driver=frames[0].module if frames else "",
            code=f"{self.code:#x}",
            name=ntdata.bugcheck_name(self.code),
            parameters=tuple(f"{value:#x}" for value in self.parameters),
            frames=frames,
            message="Windows stopped, and has started again; this is from the dump it left. "
            "The last lines before may not have come through",
            registers={name: f"{value:#x}" for name, value in self.registers.items()},
        )

    def _frames(self, own: Mapping[Module, str]) -> Iterator[Frame]:
        seen: set[int] = set()
        for value in (self.registers["rip"], *self.parameters, *self.stack):
            module = next((m for m in own if m.base <= value < m.base + m.size), None)
            if module is None or value in seen or len(seen) >= _MOST_FRAMES:
                continue
            seen.add(value)
            yield Frame(address=f"{value:#x}", module=own[module], rva=value - module.base)


def parse(data: bytes) -> Minidump:
    """What a dump says. Raises DumpError. Never trusts a number in it further than the file."""
    try:
        return _parse(data)
    except struct.error:
        raise DumpError("the dump ends too early") from None


def _parse(data: bytes) -> Minidump:
    if data[:8] != b"PAGEDU64":
        raise DumpError("not a dump of a 64-bit kernel")
    (machine,) = struct.unpack_from("<I", data, 0x30)
    if machine != _AMD64:
        raise DumpError(f"a dump of another kind of processor ({machine:#x})")
    (code,) = struct.unpack_from("<I", data, _CODE)
    parameters = struct.unpack_from("<4Q", data, _PARAMETERS)
    (kind,) = struct.unpack_from("<I", data, _TYPE)
    context, modules = _CONTEXT, list[Module]()
    stack: tuple[int, ...] = ()
    if kind == TRIAGE:
        fields = struct.unpack_from("<18I", data, _TRIAGE_DUMP)
        context = fields[3] if 0 < fields[3] < len(data) else _CONTEXT
        modules = list(_modules(data, fields[12], fields[13]))
        stack = _stack(data, fields[10], fields[11])
    registers = {
        name: struct.unpack_from("<Q", data, context + at)[0] for name, at in _REGISTERS.items()
    }
    return Minidump(code, parameters, registers, tuple(modules), stack)


def _modules(data: bytes, offset: int, count: int) -> Iterator[Module]:
    for index in range(min(count, _MOST_DRIVERS)):
        at = offset + index * _DRIVER_ENTRY
        (name,) = struct.unpack_from("<I", data, at)
        (base,) = struct.unpack_from("<Q", data, at + 8 + 0x30)
        (size,) = struct.unpack_from("<I", data, at + 8 + 0x40)
        yield Module(_string(data, name), base, size)


def _string(data: bytes, at: int) -> str:
    """A DUMP_STRING: a length, UTF-16 text, a NUL; the name without its folders."""
    end = at + 4
    while data[end : end + 2] not in (b"\0\0", b"", data[end : end + 1]) and end < at + 520:
        end += 2
    text = data[at + 4 : end].decode("utf-16-le", "replace")
    return PureWindowsPath(text).name


def _stack(data: bytes, offset: int, size: int) -> tuple[int, ...]:
    raw = data[offset : offset + min(size, _MOST_STACK)] if offset else b""
    return struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8])
