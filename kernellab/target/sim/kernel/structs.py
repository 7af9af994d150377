"""Reading and writing NT structures in guest memory by the WDK's field names."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from kernellab import ntdata

if TYPE_CHECKING:
    from ..machine.memory import Memory


class Struct:
    """A structure at an address: ``irp["IoStatus.Information"] = 4``.

    Values are unsigned numbers of the field's size; :meth:`at` gives a field's address, for
    what is embedded.
    """

    __slots__ = ("_memory", "address", "name")

    def __init__(self, memory: Memory, name: str, address: int) -> None:
        self._memory = memory
        self.name = name
        self.address = address

    def __getitem__(self, field: str) -> int:
        offset, size = place(self.name, field)
        return int.from_bytes(self._memory.read(self.address + offset, size), "little")

    def __setitem__(self, field: str, value: int) -> None:
        offset, size, mask = _masked(self.name, field)
        data = (value & mask).to_bytes(size, "little")
        self._memory.write(self.address + offset, data)

    def at(self, field: str) -> int:
        """The address of ``field``."""
        return self.address + place(self.name, field)[0]


@cache
def place(struct: str, field: str) -> tuple[int, int]:
    """Offset and size of a field, bytes."""
    found = ntdata.layout(struct).field(field)
    return found.offset, found.size


@cache
def _masked(struct: str, field: str) -> tuple[int, int, int]:
    offset, size = place(struct, field)
    return offset, size, (1 << 8 * size) - 1


@cache
def size_of(struct: str) -> int:
    """The size of a structure, bytes."""
    return ntdata.layout(struct).size


@cache
def const(name: str) -> int:
    """A constant of the headers by name, or an NTSTATUS as an unsigned number."""
    if name.startswith("STATUS_"):
        return ntdata.status_code(name)
    return ntdata.constant(name)


_LENGTH, _BUFFER = "Length", "Buffer"
UNICODE_STRING: Final = "UNICODE_STRING"
#: The most that a UNICODE_STRING can hold, bytes.
LONGEST_STRING: Final = 0xFFFE


def read_unicode_string(memory: Memory, address: int) -> str:
    """The text of a UNICODE_STRING, by its Length (bytes); unpaired surrogates stay as such."""
    value = Struct(memory, UNICODE_STRING, address)
    length = value[_LENGTH] & ~1
    return (
        memory.read(value[_BUFFER], length).decode("utf-16-le", "surrogatepass") if length else ""
    )


def well_formed(text: str) -> str:
    """``text`` with unpaired surrogates replaced: for people, whose output may refuse them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def write_unicode_string(memory: Memory, address: int, buffer: int, text: str) -> None:
    """Write ``text`` (at most 32,767 code units) to ``buffer`` and describe it at ``address``."""
    data = text.encode("utf-16-le", "surrogatepass")
    memory.write(buffer, data)
    value = Struct(memory, UNICODE_STRING, address)
    value[_LENGTH] = len(data)
    value["MaximumLength"] = len(data)
    value[_BUFFER] = buffer
