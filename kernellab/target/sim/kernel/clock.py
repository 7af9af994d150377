"""Clock ticks, and the page that NT shares with everybody: KUSER_SHARED_DATA.

Virtual time is exact; what the clock interrupt would update goes on in steps of 15.625 ms, so
that inline KeQuerySystemTime, KeQueryTickCount and KeQueryInterruptTime read what they read on
Windows. WDK pages: "KeQueryTimeIncrement function (wdm.h)", "KeQueryTickCount macro (wdm.h)".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from .structs import Struct, place, size_of

if TYPE_CHECKING:
    from .kernel import Kernel

#: Where drivers see the page; programs have it at 0x7FFE0000.
SHARED_DATA: Final = 0xFFFF_F780_0000_0000
#: Units of 100 ns between two clock interrupts: 64 a second.
TICK: Final = 156_250
#: The version that is simulated: Windows 10 22H2.
MAJOR, MINOR, BUILD = 10, 0, 19045

#: TickCount is in ticks; times this, shifted right by 24, it is in milliseconds.
_MULTIPLIER: Final = 0x0FA0_0000
_SYSTEM_ROOT: Final = "C:\\Windows"
#: How code that reads the page names it: the upper bytes of its address as an immediate.
_REFERENCE: Final = struct.pack("<Q", SHARED_DATA)[3:]
_STRUCT: Final = "KUSER_SHARED_DATA"
_INTERRUPT, _SYSTEM = (place(_STRUCT, name)[0] for name in ("InterruptTime", "SystemTime"))
_TICKS: Final = place(_STRUCT, "TickCount")[0]
_SYSTEM_TIME: Final = struct.Struct("<III")


class Clock:
    """The shared page and when it is due to be updated; units of 100 ns since boot."""

    def __init__(self, k: Kernel, processors: int) -> None:
        self._k = k
        self._physical = k.memory.allocate()
        self.due = 0
        #: Whether a driver reads the page inline: then time has to be counted while it runs.
        self.watched = False
        k.memory.map(SHARED_DATA, 1, physical=[self._physical])
        self._fill(processors)
        k.memory.protect(SHARED_DATA, 1, write=False, execute=False)
        self.tick()

    def _fill(self, processors: int) -> None:
        k = self._k
        data = Struct(k.memory, _STRUCT, SHARED_DATA)
        data["TickCountMultiplier"] = _MULTIPLIER
        data["NtMajorVersion"], data["NtMinorVersion"] = MAJOR, MINOR
        data["NtBuildNumber"] = BUILD
        data["NtProductType"] = 1  # NtProductWinNt
        data["ProductTypeIsValid"] = 1
        data["NativeProcessorArchitecture"] = 9  # PROCESSOR_ARCHITECTURE_AMD64
        data["ImageNumberLow"] = data["ImageNumberHigh"] = 0x8664
        data["QpcFrequency"] = 10_000_000
        data["NumberOfPhysicalPages"] = k.memory.size >> 12
        data["ActiveProcessorCount"] = processors
        data["ActiveGroupCount"] = 1
        root = _SYSTEM_ROOT.encode("utf-16-le")
        k.memory.write(data.at("NtSystemRoot"), root)

    def tick(self) -> None:
        """Update the page to the last clock interrupt before now."""
        k = self._k
        ticks = k.now // TICK
        now = ticks * TICK
        self.due = now + TICK
        for offset, value in (
            (_INTERRUPT, now),
            (_SYSTEM, k.boot_time + now),
            (_TICKS, ticks),
        ):
            high = value >> 32
            at = self._physical + offset
            k.memory.write_physical(at, _SYSTEM_TIME.pack(value & 0xFFFF_FFFF, high, high))

    def look_at(self, image: bytes) -> None:
        """A driver is loaded: see whether its code reads the page."""
        self.watched = self.watched or _REFERENCE in image

    @property
    def interrupt_time(self) -> int:
        """Units since boot at the last clock interrupt."""
        return self._k.now // TICK * TICK

    @property
    def system_time(self) -> int:
        """Units since 1601 at the last clock interrupt, UTC."""
        return self._k.boot_time + self.interrupt_time

    @property
    def bias(self) -> int:
        """Units that local time is behind UTC: as the shared page has it."""
        low, high = struct.unpack("<Ii", self._k.memory.read(SHARED_DATA + _BIAS, 8))
        return int(low) | int(high) << 32


_BIAS: Final = place(_STRUCT, "TimeZoneBias")[0]
assert size_of(_STRUCT) <= 0x1000
