"""Sections of files and of the paging file, and views of them in processes and in system space.

WDK pages: "Section Objects and Views", "ZwCreateSection function (wdm.h)", "ZwMapViewOfSection
function (wdm.h)", "MmMapViewInSystemSpace function (ntifs.h)".

Told on the bus: ``view-mapped``, ``view-unmapped`` (:class:`View`), for views in system space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE, OutOfMemory
from . import fs_mapping
from .bugcheck import BugCheck
from .driver import NtFailure
from .execution import Context
from .ob import Object
from .structs import const
from .uservm import GRANULARITY, VmError, protection

if TYPE_CHECKING:
    from .fs import OpenFile
    from .kernel import Kernel
    from .process import Process

#: SECTION is opaque to drivers.
_OBJECT_SIZE: Final = 0x40


@dataclass(slots=True)
class Section:
    """What a section object keeps: its pages, and what views may do at most."""

    frames: list[int]
    protect: int
    #: The file that it is of, None for the paging file.
    file: OpenFile | None = None

    @property
    def size(self) -> int:
        """Bytes, whole pages."""
        return len(self.frames) * PAGE


@dataclass(slots=True)
class View:
    """A view in system space."""

    address: int
    pages: int
    section: int
    owner: str
    context: Context | None


class SectionManager:
    """Makes sections, maps and unmaps their views."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        #: Views in system space by their address.
        self.views: dict[int, View] = {}

    def create(self, size: int, protect: int, owner: str, file: OpenFile | None = None) -> Object:
        """A section object, of a file perhaps. Raises NtFailure without memory for it."""
        k = self._k
        address = k.new_object(_OBJECT_SIZE)
        try:
            frames = self._allocate(size) if file is None else fs_mapping.attach(k, file.node, size)
        except NtFailure:
            k.pool.free(k.pool.live[address])
            raise
        if file is not None:
            k.ob.reference(file.address)
        section = Section(frames, protect, file)
        return k.ob.insert(Object(address, "Section", section, "", owner, on_delete=self._delete))

    def _allocate(self, size: int) -> list[int]:
        k, pages = self._k, -(-size // PAGE)
        if pages * PAGE > k.memory.size:
            raise NtFailure("STATUS_SECTION_TOO_BIG", f"a section of {size} bytes")
        frames: list[int] = []
        try:
            if (pages + 64) * PAGE > k.memory.available:
                raise OutOfMemory
            frames += (k.memory.allocate() for _ in range(pages))
        except OutOfMemory:
            raise NtFailure("STATUS_COMMITMENT_LIMIT", f"a section of {size} bytes") from None
        return frames

    def _delete(self, obj: Object) -> None:
        k, section = self._k, obj.payload
        assert isinstance(section, Section)
        if section.file is not None:
            fs_mapping.detach(k, section.file.node)
            k.ob.dereference(section.file.address)
        else:
            for frame in section.frames:
                k.memory.release(frame)
        k.ob.free(obj)

    def _unmapped(self, address: int) -> None:
        """A view of the section at ``address`` is gone: the file is kept as it left it."""
        section = self._k.ob.get(address).payload
        assert isinstance(section, Section)
        if section.file is not None:
            self._k.files.write_back(section.file.node)
        self._k.ob.dereference(address)

    def _part(self, section: Section, offset: int, size: int) -> list[int]:
        if offset >= section.size or size > section.size - offset:
            raise NtFailure("STATUS_INVALID_VIEW_SIZE", "the view is not inside the section")
        pages = -(-size // PAGE) if size else (section.size - offset) // PAGE
        return section.frames[offset // PAGE : offset // PAGE + pages]

    # -- processes --------------------------------------------------------------------------------

    def map(
        self,
        obj: Object,
        process: Process,
        base: int,
        offset: int,
        size: int,
        protect: int,
        *,
        top_down: bool = False,
    ) -> tuple[int, int]:
        """Map a view into a process: its address and size. Raises NtFailure."""
        section = obj.payload
        assert isinstance(section, Section)
        frames = self._part(section, offset & -GRANULARITY, size)
        try:
            wanted, most = protection(protect), protection(section.protect)
            if (wanted.write and not most.write) or (wanted.execute and not most.execute):
                raise NtFailure("STATUS_SECTION_PROTECTION", "the section does not allow that")
            region = process.vm.reserve(
                *(base & -GRANULARITY, len(frames) * PAGE, protect, "view"), top_down=top_down
            )
            process.vm.place(region, frames, protect)
        except VmError as error:
            raise NtFailure(error.status, "the view cannot be mapped") from None
        region.payload = obj.address
        self._k.ob.reference(obj.address)
        return region.base, region.size

    def unmap(self, process: Process, address: int) -> None:
        """Unmap the view that holds ``address``. Raises NtFailure where none does."""
        region = process.vm.find(address)
        if region is None or region.kind != "view" or not isinstance(region.payload, int):
            raise NtFailure("STATUS_NOT_MAPPED_VIEW", f"no view is mapped at {address:#x}")
        process.vm.remove(region)
        self._unmapped(region.payload)

    def process_ended(self, process: Process) -> None:
        """Its views go with it."""
        for region in [r for r in process.vm.regions.values() if r.kind == "view"]:
            self.unmap(process, region.base)

    # -- system space -----------------------------------------------------------------------------

    def map_in_system(self, obj: Object, offset: int, size: int, owner: str) -> tuple[int, int]:
        """Map a view in system space: its address and size. Raises NtFailure."""
        section = obj.payload
        assert isinstance(section, Section)
        frames = self._part(section, offset, size)
        write = protection(section.protect).write
        at = self._k.mdl.place(frames, write=write)
        if not at:
            raise NtFailure("STATUS_NO_MEMORY", "there is no room for the view")
        self._k.ob.reference(obj.address)
        view = View(at, len(frames), obj.address, owner, self._k.mdl.context(owner))
        self.views[at] = view
        self._k.tell("view-mapped", view)
        return at, len(frames) * PAGE

    def unmap_in_system(self, address: int) -> None:
        """MmUnmapViewInSystemSpace."""
        view = self.views.pop(address, None)
        if view is None:
            raise BugCheck(
                *("DRIVER_UNMAPPING_INVALID_VIEW", address, 1),
                message=f"A view was unmapped at {address:#x}, where none is mapped in system "
                "space.",
            )
        self._k.memory.unmap(address, view.pages, release=False)
        self._unmapped(view.section)
        self._k.tell("view-unmapped", view)


def section_protection(value: int) -> None:
    """Check SectionPageProtection. Raises NtFailure where a section cannot have it."""
    allowed = ("PAGE_READONLY", "PAGE_READWRITE", "PAGE_EXECUTE", "PAGE_EXECUTE_READ",
               "PAGE_EXECUTE_READWRITE")  # fmt: skip
    if value not in [const(name) for name in allowed]:
        raise NtFailure("STATUS_INVALID_PAGE_PROTECTION", f"protection {value:#x}")
