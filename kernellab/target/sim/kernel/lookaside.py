"""Lookaside lists: which ones are in use, and whose they are.

Drivers take entries from a list and put them back with the WDK's inline functions; the kernel
makes the list and empties it. WDK pages: "Using Lookaside Lists", "Bug Check 0xC4:
DRIVER_VERIFIER_DETECTED_VIOLATION", 0xCA to 0xCD.

Told on the bus: ``lookaside-initialized``, ``lookaside-deleted`` (:class:`Lookaside`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .execution import Call, Context, Steps
from .mdl_map import misused
from .structs import Struct, const

if TYPE_CHECKING:
    from .kernel import Kernel

#: What an entry must hold at least: the link to the next one.
SMALLEST: Final = 8


@dataclass(slots=True)
class Lookaside:
    """One list; ``extended`` for LOOKASIDE_LIST_EX, whose routines get the list too."""

    address: int
    owner: str
    extended: bool
    context: Context | None


class LookasideLists:
    """All lists that are in use."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.lists: dict[int, Lookaside] = {}

    def initialize(
        self,
        address: int,
        allocate: int,
        free: int,
        kind: int,
        size: int,
        tag: int,
        *,
        extended: bool = False,
    ) -> None:
        """Fill the list's structure; its routines are the pool's where none are given."""
        k, owner = self._k, self._k.caller()
        if address in self.lists:
            raise misused(0xCA, address, message="A lookaside list was initialized twice.")
        if size < SMALLEST:
            raise misused(
                *(0xCD, address, size, SMALLEST),
                message=f"A lookaside list was made for blocks of {size} bytes, which is too "
                "small for the link between them.",
            )
        k.memory.write(address, bytes(0x60))
        entry = Struct(k.memory, "GENERAL_LOOKASIDE", address)
        entry["Depth"] = 4
        entry["MaximumDepth"] = const("EX_MAXIMUM_LOOKASIDE_DEPTH_BASE")
        entry["Type"], entry["Tag"], entry["Size"] = kind, tag, size
        entry["Allocate"] = allocate or k.stub_of("ExAllocatePoolWithTag")
        entry["Free"] = free or k.stub_of("ExFreePool")
        self.lists[address] = Lookaside(address, owner, extended, k.mdl.context(owner))
        k.tell("lookaside-initialized", self.lists[address])

    def flush(self, address: int) -> Steps:
        """Give all entries to the list's own routine."""
        found = self.lists.get(address)
        if found is None:
            raise misused(
                *(0xCB, address),
                message="A lookaside list was used that is not initialized, or was deleted.",
            )
        entry = Struct(self._k.memory, "GENERAL_LOOKASIDE", address)
        free = entry["Free"]
        link = self._k.memory.u64(address + 8) & ~0xF
        self._k.memory.write(address, bytes(16))
        while link:
            following = self._k.memory.u64(link) & ~0xF
            yield Call(free, (link, address) if found.extended else (link,))
            link = following

    def delete(self, address: int) -> Steps:
        """Empty the list and forget it."""
        yield from self.flush(address)
        self._k.tell("lookaside-deleted", self.lists.pop(address))
