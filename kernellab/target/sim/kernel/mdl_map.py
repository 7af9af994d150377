"""What MDLs describe, and where their pages are mapped a second time.

WDK pages: "MmMapLockedPagesSpecifyCache function (wdm.h)", "MmAllocateMappingAddress function
(wdm.h)", "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", "Bug Check 0xDA: SYSTEM_PTE_MISUSE".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE, OutOfMemory
from .bugcheck import BugCheck
from .execution import Context
from .structs import Struct, const, size_of
from .uservm import Region

if TYPE_CHECKING:
    from .kernel import Kernel
    from .process import Process

#: Where mappings go in system space.
SYSTEM_PTE_START: Final = 0xFFFF_D000_0000_0000

MAPPED, LOCKED, NONPAGED, FIXED, PARTIAL, PARTIAL_MAPPED, WRITE_OPERATION = (
    const(f"MDL_{name}")
    for name in (
        *("MAPPED_TO_SYSTEM_VA", "PAGES_LOCKED", "SOURCE_IS_NONPAGED_POOL"),
        *("ALLOCATED_FIXED_SIZE", "PARTIAL", "PARTIAL_HAS_BEEN_MAPPED", "WRITE_OPERATION"),
    )
)
IO_SPACE: Final = const("MDL_IO_SPACE")


@dataclass(slots=True)
class Mapping:
    """An MDL's pages at another address: system space, or a ``process``."""

    address: int
    mdl: int
    frames: tuple[int, ...]
    #: What the MDL described when it was mapped.
    start: int
    process: Process | None
    region: Region | None
    owner: str
    context: Context | None


@dataclass(slots=True)
class Reserved:
    """Addresses of MmAllocateMappingAddress."""

    address: int
    pages: int
    tag: int
    owner: str
    context: Context | None


def spanned(address: int, size: int) -> int:
    """ADDRESS_AND_SIZE_TO_SPAN_PAGES."""
    return ((address & (PAGE - 1)) + size + PAGE - 1) // PAGE


def misused(code: int, *parameters: int, message: str) -> BugCheck:
    """An MDL was used against the rules: the bug check of Driver Verifier."""
    return BugCheck("DRIVER_VERIFIER_DETECTED_VIOLATION", code, *parameters, message=message)


class MdlMapper:
    """Reads MDLs, and maps and unmaps them."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        #: By the address of the first mapped page.
        self.mappings: dict[int, Mapping] = {}
        self.reserved: dict[int, Reserved] = {}
        self._next = SYSTEM_PTE_START

    def address(self, mdl: int) -> int:
        """MmGetMdlVirtualAddress."""
        entry = Struct(self._k.memory, "MDL", mdl)
        return entry["StartVa"] + entry["ByteOffset"]

    def count(self, mdl: int) -> int:
        """How many pages an MDL describes."""
        entry = Struct(self._k.memory, "MDL", mdl)
        return spanned(entry["ByteOffset"], entry["ByteCount"])

    def frames(self, mdl: int) -> tuple[int, ...]:
        """The physical addresses of its pages, by its array."""
        count = self.count(mdl)
        raw = self._k.memory.read(mdl + size_of("MDL"), 8 * count)
        return tuple(pfn * PAGE for pfn in struct.unpack(f"<{count}Q", raw))

    def set_frames(self, mdl: int, frames: Sequence[int]) -> None:
        """Write its array."""
        raw = struct.pack(f"<{len(frames)}Q", *(frame // PAGE for frame in frames))
        self._k.memory.write(mdl + size_of("MDL"), raw)

    # -- mapping ----------------------------------------------------------------------------------

    def map(
        self,
        mdl: int,
        *,
        user: bool = False,
        requested: int = 0,
        write: bool = True,
        execute: bool = True,
        at: int = 0,
        owner: str = "",
    ) -> int:
        """Map an MDL's pages: its address there, 0 where there is no room in system space.

        ``at`` is a place in system space that was reserved for it.

        Raises :class:`~.uservm.VmError` where there is none in the process.
        """
        k = self._k
        entry = Struct(k.memory, "MDL", mdl)
        flags = entry["MdlFlags"]
        wrong = 0 if user else flags & (MAPPED | NONPAGED)
        if wrong:
            what = "is mapped already" if wrong & MAPPED else "describes nonpaged pool"
            raise misused(
                *(0xB2, mdl, flags, wrong),
                message=f"An MDL was mapped that {what}: MmGetSystemAddressForMdlSafe gives the "
                "address it has.",
            )
        if not flags & (LOCKED | PARTIAL | IO_SPACE | (NONPAGED if user else 0)):
            raise misused(
                *(0xB3, mdl, flags, LOCKED),
                message="An MDL was mapped whose pages are not locked.",
            )
        frames = self.frames(mdl)
        self._check_frames(mdl, frames)
        region = process = None
        if user:
            process = k.thread.current_process
            protect = const("PAGE_READWRITE" if write else "PAGE_READONLY")
            region = process.vm.reserve(requested, len(frames) * PAGE, protect, "mdl")
            process.vm.place(region, list(frames), protect)
            at = region.base
        else:
            at = self.place(frames, write=write, execute=execute, at=at)
            if not at:
                return 0
        mapping = Mapping(
            *(at, mdl, frames, self.address(mdl), process, region, owner, self.context(owner))
        )
        self.mappings[at] = mapping
        k.tell("mdl-mapped", mapping)
        address = at + entry["ByteOffset"]
        if not user:
            entry["MappedSystemVa"] = address
            entry["MdlFlags"] = flags | MAPPED | (PARTIAL_MAPPED if flags & PARTIAL else 0)
        return address

    def place(
        self, frames: Sequence[int], *, write: bool = True, execute: bool = False, at: int = 0
    ) -> int:
        """Map physical pages in system space, anywhere unless told; 0 without memory for tables."""
        at = at or self.take(len(frames))
        try:
            self._k.memory.map(at, len(frames), write=write, execute=execute, physical=list(frames))
        except OutOfMemory:
            return 0
        return at

    def reserve_mapping(self, pages: int, tag: int, owner: str) -> int:
        """MmAllocateMappingAddress: addresses to map something at later."""
        at = self.take(pages)
        self.reserved[at] = Reserved(at, pages, tag, owner, self.context(owner))
        self._k.tell("mapping-reserved", self.reserved[at])
        return at

    def free_mapping(self, reserved: Reserved) -> None:
        """MmFreeMappingAddress."""
        del self.reserved[reserved.address]
        self._k.tell("mapping-freed", reserved)

    def take(self, pages: int) -> int:
        """Addresses in system space that nothing uses, an unmapped page behind them."""
        at = self._next
        self._next += (pages + 1) * PAGE
        return at

    def unmap(self, address: int, mdl: int) -> None:
        """MmUnmapLockedPages, with the checks of bug check 0xDA."""
        k = self._k
        entry = Struct(k.memory, "MDL", mdl)
        base, count = address & -PAGE, self.count(mdl)
        mapping = self.mappings.get(base)
        if mapping is None or mapping.mdl != mdl:
            own = [m for m in self.mappings.values() if m.mdl == mdl]
            if own:
                raise BugCheck(
                    *("SYSTEM_PTE_MISUSE", 3, 0, own[0].address, base),
                    message=f"MmUnmapLockedPages was given {address:#x}; the MDL is mapped at "
                    f"{own[0].address:#x}.",
                )
            raise BugCheck(
                *("SYSTEM_PTE_MISUSE", 6, mdl, address, count),
                message=f"MmUnmapLockedPages was given {address:#x} and an MDL that is not mapped "
                "there: it was unmapped already, or never mapped.",
            )
        self._check_unchanged(mapping, count)
        if mapping.process is not None and mapping.region is not None:
            if mapping.process is not k.thread.current_process:
                raise BugCheck(
                    *("SYSTEM_PTE_MISUSE", 6, mdl, address, count),
                    message="MmUnmapLockedPages was called in another process than the one that "
                    "the pages were mapped in.",
                )
            mapping.process.vm.remove(mapping.region)
        else:
            if k.memory.page(base) is not None:  # MmProtectMdlSystemAddress: PAGE_NOACCESS
                k.memory.unmap(base, len(mapping.frames), release=False)
            entry["MdlFlags"] &= ~(MAPPED | PARTIAL_MAPPED)
        self.forget(mapping)

    def forget(self, mapping: Mapping) -> None:
        """A mapping is gone."""
        del self.mappings[mapping.address]
        self._k.tell("mdl-unmapped", mapping)

    def _check_unchanged(self, mapping: Mapping, count: int) -> None:
        """What an MDL describes must not change while it is mapped."""
        frames, start = self.frames(mapping.mdl), self.address(mapping.mdl)
        expected: tuple[int, int, int] | None = None
        if count != len(mapping.frames):
            expected = 2, len(mapping.frames), count
        elif frames and frames[0] != mapping.frames[0]:
            expected = 4, mapping.frames[0] // PAGE, frames[0] // PAGE
        elif start != mapping.start:
            expected = 5, mapping.start, start
        if expected is not None:
            kind, before, now = expected
            raise BugCheck(
                *("SYSTEM_PTE_MISUSE", kind, 0, before, now),
                message="An MDL was changed between its mapping and its unmapping.",
            )

    def _check_frames(self, mdl: int, frames: tuple[int, ...]) -> None:
        entry = Struct(self._k.memory, "MDL", mdl)
        if entry["MdlFlags"] & (IO_SPACE | NONPAGED):
            return
        for frame in frames:
            if frame not in self._k.memory.locked:
                raise BugCheck(
                    *("MEMORY_MANAGEMENT", 0x1233, frame // PAGE),
                    message="An MDL was mapped with a physical page in it that is not locked.",
                )

    def context(self, owner: str) -> Context | None:
        """The call stack to keep for what ``owner`` does now."""
        return self._k.flow.context(trapped=True) if owner else None
