"""Which Windows this is: 10, version 22H2, build 19045, a workstation."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..kernel.structs import const
from .registry import APC_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export
from .rtl_string import INVALID_PARAMETER, SUCCESS

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

MAJOR, MINOR, BUILD = 10, 0, 19045
_PLATFORM_NT, _WORKSTATION, _SINGLE_USER = 2, 1, 0x100
#: RTL_OSVERSIONINFOW and RTL_OSVERSIONINFOEXW: size, version, empty service pack; the rest.
_PLAIN: Final = struct.Struct("<5I256s")
_EXTENDED: Final = struct.Struct("<5I256s3HBB")

# VER_… of winnt.h: what RtlVerifyVersionInfo compares, and how.
_TYPES: Final = {
    "minor": 1,
    "major": 2,
    "build": 4,
    "platform": 8,
    "service pack minor": 0x10,
    "service pack major": 0x20,
    "suite": 0x40,
    "product": 0x80,
}
_EQUAL, _GREATER, _GREATER_EQUAL, _LESS, _LESS_EQUAL, _AND, _OR = range(1, 8)


@export("NTSTATUS RtlGetVersion(PRTL_OSVERSIONINFOW lpVersionInformation)", irql=PASSIVE_LEVEL)
def RtlGetVersion(k: Kernel, lpVersionInformation: int) -> int:
    """WDK: "RtlGetVersion function (wdm.h)"."""
    size = k.memory.u32(lpVersionInformation)
    start = (size, MAJOR, MINOR, BUILD, _PLATFORM_NT, b"")
    if size == _EXTENDED.size:
        raw = _EXTENDED.pack(*start, 0, 0, _SINGLE_USER, _WORKSTATION, 0)
    else:
        raw = _PLAIN.pack(*start)
    k.memory.write(lpVersionInformation, raw)
    return SUCCESS


@export("BOOLEAN RtlIsNtDdiVersionAvailable(ULONG Version)", irql=PASSIVE_LEVEL)
def RtlIsNtDdiVersionAvailable(k: Kernel, Version: int) -> bool:
    """WDK: "RtlIsNtDdiVersionAvailable function (wdm.h)". FALSE for service packs' constants."""
    return not Version & 0xFFFF and Version >> 16 <= MAJOR << 8 | MINOR


@export("BOOLEAN RtlIsServicePackVersionInstalled(ULONG Version)", irql=PASSIVE_LEVEL)
def RtlIsServicePackVersionInstalled(k: Kernel, Version: int) -> bool:
    """WDK: "RtlIsServicePackVersionInstalled function (wdm.h)". There is none for Windows 10."""
    return Version >> 16 == MAJOR << 8 | MINOR and not Version & 0xFF00


@export(
    "ULONGLONG VerSetConditionMask(ULONGLONG ConditionMask, ULONG TypeMask, UCHAR Condition)",
    irql=HIGH_LEVEL,
)
def VerSetConditionMask(k: Kernel, ConditionMask: int, TypeMask: int, Condition: int) -> int:
    """WDK: "VerSetConditionMask function (wdm.h)". Three bits for the highest type given."""
    if not TypeMask:
        return ConditionMask
    index = TypeMask.bit_length() - 1
    return ConditionMask | (Condition & 7) << 3 * index


@export(
    "NTSTATUS RtlVerifyVersionInfo(PRTL_OSVERSIONINFOEXW VersionInfo, ULONG TypeMask, "
    "ULONGLONG ConditionMask)",
    irql=APC_LEVEL,
)
def RtlVerifyVersionInfo(k: Kernel, VersionInfo: int, TypeMask: int, ConditionMask: int) -> int:
    """WDK: "RtlVerifyVersionInfo function (wdm.h)". STATUS_REVISION_MISMATCH where it is not so.

    Major, minor and service pack are one number to compare: a larger major version is enough.
    """
    raw = _EXTENDED.unpack(k.memory.read(VersionInfo, _EXTENDED.size))
    wanted = {
        "major": raw[1],
        "minor": raw[2],
        "build": raw[3],
        "platform": raw[4],
        "service pack major": raw[6],
        "service pack minor": raw[7],
        "suite": raw[8],
        "product": raw[9],
    }
    own = {"major": MAJOR, "minor": MINOR, "build": BUILD, "platform": _PLATFORM_NT,
           "service pack major": 0, "service pack minor": 0, "suite": _SINGLE_USER,
           "product": _WORKSTATION}  # fmt: skip
    conditions = {
        name: ConditionMask >> 3 * (bit.bit_length() - 1) & 7
        for name, bit in _TYPES.items()
        if TypeMask & bit
    }
    if not conditions or 0 in conditions.values():
        return INVALID_PARAMETER
    order = ("major", "minor", "service pack major", "service pack minor")
    ladder = [name for name in order if name in conditions]
    condition = _EQUAL
    for place, name in enumerate(ladder):
        if condition == _EQUAL:
            condition = conditions[name]
        last = place == len(ladder) - 1
        if (own[name] != wanted[name] or last) and not _holds(own[name], wanted[name], condition):
            return const("STATUS_REVISION_MISMATCH")
        if own[name] != wanted[name]:
            break
    for name in ("build", "platform", "product", "suite"):
        if name in conditions and not _holds(own[name], wanted[name], conditions[name]):
            return const("STATUS_REVISION_MISMATCH")
    return SUCCESS


def _holds(own: int, wanted: int, condition: int) -> bool:
    return {
        _EQUAL: own == wanted,
        _GREATER: own > wanted,
        _GREATER_EQUAL: own >= wanted,
        _LESS: own < wanted,
        _LESS_EQUAL: own <= wanted,
        _AND: own & wanted == wanted,
        _OR: bool(own & wanted) or not wanted,
    }[condition]
