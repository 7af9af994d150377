"""Sections of driver images, and which of them are pageable: those whose names begin with PAGE.

WDK pages: "Making Drivers Pageable", "MmLockPagableDataSection function (ntddk.h)",
"MmPageEntireDriver function (ntddk.h)", "Bug Check 0x1A: MEMORY_MANAGEMENT".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..machine.memory import PAGE
from .bugcheck import BugCheck

if TYPE_CHECKING:
    from .kernel import Kernel


@dataclass(slots=True)
class Section:
    """One section of an image; its address is also its handle, which is opaque to drivers."""

    address: int
    pages: int
    name: str
    driver: str
    locks: int = 0


class DriverPaging:
    """The sections of all loaded drivers."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.sections: dict[int, Section] = {}

    def add(self, address: int, pages: int, name: str, driver: str) -> None:
        """A driver was loaded with this section."""
        self.sections[address] = Section(address, pages, name, driver)
        self.reset(driver)

    def remove(self, driver: str) -> None:
        """A driver is unloaded: its sections are unlocked and forgotten."""
        for section in [s for s in self.sections.values() if s.driver == driver]:
            while section.locks:
                self.unlock(section.address)
            self._k.memory.pageable.pop(section.address // PAGE, None)
            del self.sections[section.address]
        self._k.cpu.veil.changed()

    def find(self, address: int) -> Section | None:
        """The section that holds an address."""
        for section in self.sections.values():
            if section.address <= address < section.address + section.pages * PAGE:
                return section
        return None

    def reset(self, driver: str) -> None:
        """Each section is pageable if its name says so (MmResetDriverPaging)."""
        self._set(driver, everything=False)

    def page_all(self, driver: str) -> None:
        """All sections are pageable (MmPageEntireDriver)."""
        self._set(driver, everything=True)

    def _set(self, driver: str, *, everything: bool) -> None:
        pageable = self._k.memory.pageable
        for section in self.sections.values():
            if section.driver == driver:
                if everything or section.name.startswith("PAGE"):
                    pageable[section.address // PAGE] = section.pages
                else:
                    pageable.pop(section.address // PAGE, None)
        self._k.cpu.veil.changed()

    def lock(self, address: int) -> int:
        """Lock the section that holds ``address``: its handle."""
        section = self.find(address)
        if section is None:
            raise BugCheck(
                *("MEMORY_MANAGEMENT", 0x1234, address),
                message=f"A pageable section was to be locked at {address:#x}, where no driver "
                "has one.",
            )
        section.locks += 1
        for frame in self._frames(section):
            self._k.memory.lock(frame)
        self._k.cpu.veil.changed()
        return section.address

    def unlock(self, handle: int) -> None:
        """Undo one :meth:`lock`."""
        section = self.sections.get(handle)
        if section is None or not section.locks:
            raise BugCheck(
                *("MEMORY_MANAGEMENT", 0x1010, handle),
                message="A pageable section was unlocked that is not locked: it never was, or it "
                "was unlocked twice.",
            )
        section.locks -= 1
        for frame in self._frames(section):
            self._k.memory.unlock(frame)
        self._k.cpu.veil.changed()

    def _frames(self, section: Section) -> list[int]:
        first = section.address // PAGE
        return [self._k.memory.pages[first + n].physical for n in range(section.pages)]
