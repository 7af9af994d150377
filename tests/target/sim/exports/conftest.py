"""A booted kernel whose exports can be called by name, through the CPU and its stubs."""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import Any

import pytest

from kernellab.target.sim import exports, verify
from kernellab.target.sim.kernel.execution import Call
from kernellab.target.sim.kernel.kernel import Kernel
from kernellab.target.sim.machine.unwind import ModuleImage

DRIVER = 0xFFFF_F805_7000_0000

# The export is called from here, so that it sees a driver as its caller:
# pop [saved]; call [routine]; jmp [saved], with the two variables at 0x20.
_THUNK = bytes.fromhex("8f051a000000 ff151c000000 ff250e000000")


class Guest:
    """One machine. ``call`` gives rax as unsigned 64 bits."""

    def __init__(self, rules: dict[str, bool] | None = None, pool_guard: str = "after") -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        #: Which rules are off.
        self.rules = rules or {}
        self.k = Kernel(
            exports.table(),
            lambda kind, fields: self.events.append((kind, fields)),
            pool_guard=pool_guard,
        )
        verify.attach(self.k, self.rules)
        self.k.memory.map(DRIVER, 1, execute=True)
        self.k.memory.write(DRIVER, _THUNK)
        self.k.modules.append(ModuleImage("test.sys", DRIVER, b"", size=0x1000))

    def call(self, name: str, *arguments: int, irql: int = 0) -> int:
        def activity() -> Generator[Call, int, int]:
            self.k.cpu.irql = irql
            self.k.memory.set_u64(DRIVER + 0x28, self.k.stub_of(name))
            return (yield Call(DRIVER, arguments))

        result: int = self.k.run(activity(), name)
        return result

    def signed(self, name: str, *arguments: int) -> int:
        """The result as a C int."""
        value = self.call(name, *arguments) & 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    def room(self, size: int) -> int:
        """Memory of this size, at the end of its page."""
        return self.k.pool.allocate(size, 0x74736574)

    def put(self, raw: bytes) -> int:
        address = self.room(len(raw))
        self.k.memory.write(address, raw)
        return address

    def text(self, value: str) -> int:
        return self.put(value.encode() + b"\0")

    def wide(self, value: str) -> int:
        return self.put(value.encode("utf-16-le") + b"\0\0")

    def counted(self, raw: bytes, maximum: int | None = None) -> int:
        """A UNICODE_STRING or ANSI_STRING over a buffer of exactly ``maximum`` bytes."""
        size = len(raw) if maximum is None else maximum
        buffer = self.put(raw.ljust(size, b"-")) if size else 0
        return self.put(struct.pack("<HHIQ", len(raw), size, 0, buffer))

    def unicode(self, value: str, maximum: int | None = None) -> int:
        return self.counted(value.encode("utf-16-le"), maximum)

    def attributes(self, name: str | None, flags: int = 0x40, root: int = 0) -> int:
        """OBJECT_ATTRIBUTES; OBJ_CASE_INSENSITIVE unless other flags are given."""
        text = self.unicode(name) if name is not None else 0
        return self.put(struct.pack("<IIQQIIQQ", 48, 0, root, text, flags, 0, 0, 0))

    def u64(self, address: int) -> int:
        return self.k.memory.u64(address)

    def u32(self, address: int) -> int:
        return self.k.memory.u32(address)

    def fields(self, address: int) -> tuple[int, int, int]:
        """Length, MaximumLength, Buffer."""
        length, maximum, buffer = struct.unpack("<HH4xQ", self.k.memory.read(address, 16))
        return length, maximum, buffer

    def content(self, address: int) -> bytes:
        length, _maximum, buffer = self.fields(address)
        return self.k.memory.read(buffer, length) if length else b""

    def read(self, address: int, size: int) -> bytes:
        return self.k.memory.read(address, size)


@pytest.fixture
def guest() -> Guest:
    return Guest()
