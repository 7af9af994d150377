"""What the host keeps of page tables: the pages of an address space, and where its tables are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .memory import Memory


def canonical(address: int) -> bool:
    """Whether a pointer can have this value: bits 47 to 63 are all the same."""
    return address >> 47 in (0, 0x1FFFF)


class MemoryFault(Exception):
    """An access that the page tables do not allow. ``access`` is read, write or execute."""

    def __init__(self, address: int, access: str = "read") -> None:
        super().__init__(f"{access} at {address:#x}")
        self.address = address
        self.access = access


@dataclass(slots=True)
class Page:
    """A mapped page: where it is in physical memory, and what is allowed.

    Never changed once it was made; it is not frozen, since that makes making one twice as slow.
    """

    physical: int
    write: bool
    execute: bool
    user: bool
    #: Whether the physical page goes with the mapping, rather than being borrowed.
    owned: bool = True


class AddressSpace:
    """The user half of a process: its own pages under a top-level table of its own."""

    __slots__ = ("counts", "leaves", "pages", "root", "slots", "tables")

    def __init__(self, root: int) -> None:
        #: Physical address of the top-level table: what CR3 holds.
        self.root = root
        self.pages: dict[int, Page] = {}
        self.leaves: dict[int, int] = {}
        #: How many pages each leaf table maps.
        self.counts: dict[int, int] = {}
        #: The entries of the top-level table that are in use.
        self.slots: list[int] = []
        #: Every table below the top one that is not a leaf.
        self.tables: list[int] = []


class Within:
    """What :meth:`Memory.within` gives."""

    __slots__ = ("_before", "_memory", "_space")

    def __init__(self, memory: Memory, space: AddressSpace) -> None:
        self._memory, self._space = memory, space
        self._before = memory.space, memory.check, memory.watch

    def __enter__(self) -> None:
        memory = self._memory
        memory.space, memory.check, memory.watch = self._space, None, None

    def __exit__(self, *_: object) -> None:
        memory = self._memory
        memory.space, memory.check, memory.watch = self._before
