"""Driver Verifier's checks: what parameter 1 of bug check 0xC4 stands for, and the others then.

After the table of Microsoft's page "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", in other
words: the checks that a driver without a framework can fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: What Microsoft's pages call so, or leave 0.
RESERVED: Final = "reserved"

#: What this kind is, and the three other parameters in their order.
Kind = tuple[str, str, str, str]

IRQL: Final = "current IRQL"
_NO: Final = RESERVED
POOL_TYPE: Final = "pool type"


def kind(what: str, two: str = _NO, three: str = _NO, four: str = _NO) -> Kind:
    """A row; what is not given is reserved."""
    return what, two, three, four


def _mdl(what: str, flags: str = "MDL's flags", four: str = _NO) -> Kind:
    return what, "the MDL", flags, four


_LOCK: Final = "the lock"
_DISABLED: Final = "APC disable count"
VERIFIER: Final[Mapping[int, Kind]] = {
    0x00: kind("asked for zero bytes of pool", IRQL, POOL_TYPE, "bytes"),
    0x01: kind("paged pool allocated above APC_LEVEL", IRQL, POOL_TYPE, "bytes"),
    0x02: kind("nonpaged pool allocated above DISPATCH_LEVEL", IRQL, POOL_TYPE, "bytes"),
    0x10: kind("freed what was not allocated", "address freed"),
    0x11: kind("paged pool freed above APC_LEVEL", IRQL, POOL_TYPE, "address freed"),
    0x12: kind("nonpaged pool freed above DISPATCH_LEVEL", IRQL, POOL_TYPE, "address freed"),
    **dict.fromkeys((0x13, 0x14), kind("freed already", _NO, "pool header", "its contents")),
    0x15: kind("freed memory holds an active timer", "the timer", POOL_TYPE, "address freed"),
    0x16: kind("freed at a wrong address", _NO, "address freed"),
    0x17: kind("freed memory holds an ERESOURCE", "the resource", POOL_TYPE, "address freed"),
    0x30: kind("KeRaiseIrql to a lower level, or to none", IRQL, "IRQL asked for"),
    0x31: kind(
        "KeLowerIrql to a higher level, or to none", IRQL, "IRQL asked for", "1 within a DPC"
    ),
    0x32: kind("KeReleaseSpinLock not at DISPATCH_LEVEL", IRQL, _LOCK),
    0x33: kind("a fast mutex acquired above APC_LEVEL", IRQL, _LOCK),
    0x34: kind("a fast mutex released not at APC_LEVEL", IRQL, _LOCK),
    0x37: kind("a resource acquired with APCs enabled", IRQL, _DISABLED, _LOCK),
    0x38: kind("a resource released with APCs enabled", IRQL, _DISABLED, _LOCK),
    0x39: kind("a mutex acquired \"unsafe\" not at APC_LEVEL", IRQL, _DISABLED, _LOCK),
    0x3A: kind("a mutex released \"unsafe\" not at APC_LEVEL", IRQL, _DISABLED, _LOCK),
    0x3C: kind("ObReferenceObjectByHandle of a bad handle", "the handle", "object type"),
    0x3E: kind("KeLeaveCriticalRegion outside of any region"),
    0x3F: kind("a reference to an object that has none left", "the object", "new count"),
    0x40: kind("KeAcquireSpinLockAtDpcLevel below DISPATCH_LEVEL", IRQL, _LOCK),
    0x41: kind("KeReleaseSpinLockFromDpcLevel below DISPATCH_LEVEL", IRQL, _LOCK),
    0x42: kind("KeAcquireSpinLock above DISPATCH_LEVEL", IRQL, _LOCK),
    0x51: kind(
        "written behind the end of an allocation", "the allocation", "address behind it", "bytes"
    ),
    0x52: kind("written behind the end of an allocation", "the allocation", _NO, "bytes"),
    0x60: kind(
        "pool is left at unload", "bytes of paged pool", "bytes of nonpaged pool", "allocations"
    ),
    0x61: kind(
        "allocated during unload", "bytes of paged pool", "bytes of nonpaged pool", "allocations"
    ),
    0x62: kind("pool is left at unload", "driver's name", _NO, "allocations"),
    0x70: kind("MmProbeAndLockPages above DISPATCH_LEVEL", IRQL, "the MDL", "access mode"),
    0x78: kind("MmUnlockPages above DISPATCH_LEVEL", IRQL, "the MDL"),
    0x7C: _mdl("MmUnlockPages of pages that are not locked"),
    0x7D: _mdl("MmUnlockPages of nonpaged pool"),
    0x7F: kind("MmBuildMdlForNonPagedPool of paged pool", IRQL, "the MDL", "MDL's flags"),
    0x80: kind("KeSetEvent above DISPATCH_LEVEL", IRQL, "the event"),
    0x81: _mdl("MmMapLockedPages: use MmMapLockedPagesSpecifyCache"),
    0x82: _mdl("MmMapLockedPagesSpecifyCache with BugCheckOnFailure"),
    0xB0: _mdl("MmProbeAndLockPages of an MDL with wrong flags", four="the wrong flags"),
    0xB2: _mdl("an MDL mapped that has wrong flags", four="the wrong flags"),
    0xB3: _mdl("an MDL mapped that lacks flags: is it locked?", four="flags, one of them needed"),
    0xB4: _mdl("MmUnlockPages of a partial MDL", four="the flag of a partial MDL"),
    0xB8: _mdl("IoFreeMdl while its pages are mapped"),
    0xC5: kind(
        "a dispatch routine changed the APC disable count",
        *("the routine", "count now", "count before"),
    ),
    0xCA: kind("a lookaside list initialized again", "the list"),
    0xCB: kind("a lookaside list deleted that is not initialized", "the list"),
    0xCC: kind("pool freed with a lookaside list in it", "the list", "begin of the pool", "bytes"),
    0xCD: kind(
        "a lookaside list of blocks that are too small", "the list", "size given", "smallest size"
    ),
    0xD0: kind("a resource initialized again", "the resource"),
    0xD1: kind("a resource deleted that is not initialized", "the resource"),
    0xD2: kind("pool freed with a resource in it", "the resource", "begin of the pool", "bytes"),
    0xE0: kind("a user address given to a kernel routine", "the address", "bytes"),
    0xE1: kind("a lock, event or timer in bad or pageable memory", "its address"),
    0xE3: kind("a user address given to a Zw routine", "address of the call", "user address"),
    0xE4: kind(
        "a malformed UNICODE_STRING given to a Zw routine", "address of the call", "the string"
    ),
    0xE5: kind("a kernel routine called at a wrong IRQL", IRQL),
    0xEA: kind("a push lock acquired with APCs enabled", IRQL, _DISABLED, _LOCK),
    0xEB: kind("a push lock released with APCs enabled", IRQL, _DISABLED, _LOCK),
    0xF0: kind("memcpy of buffers that overlap", "destination", "source", "bytes"),
    0xF5: kind("ObReferenceObjectByHandle of a NULL handle", "address of the handle", "type"),
    0xF6: kind(
        "a program's handle used as the kernel's",
        *("the handle", "current process", "address in the driver"),
    ),
    0xFA: kind(
        "a completion routine changed the IRQL", "the routine", "IRQL before", "IRQL after"
    ),
    0x110: kind(
        "an interrupt routine damaged the extended context",
        *("the routine", "context before", "context after"),
    ),
    0x111: kind(
        "an interrupt routine changed the IRQL", "the routine", "IRQL before", "IRQL after"
    ),
    0x11A: kind("KeEnterCriticalRegion above APC_LEVEL", IRQL),
    0x11B: kind("KeLeaveCriticalRegion above APC_LEVEL", IRQL),
    0x140: kind(
        "an MDL that is not locked, of pageable memory", IRQL, "the MDL", "its address"
    ),
    0x1000: kind("the thread acquires a lock that it holds", _LOCK),
    0x1001: kind("locks are acquired in another order than before", "the last lock"),
    0x1002: kind("a lock acquired that is not initialized", _LOCK),
    0x1003: kind("locks released in a wrong order", _LOCK, "lock to release before it"),
    0x1004: kind(
        "a lock released by another thread", _LOCK, "thread that acquired it", "current thread"
    ),
    0x1005: kind("a lock initialized again", _LOCK),
    0x1007: kind("a lock released that is not acquired", _LOCK),
    0x100B: kind("a lock deleted that a thread owns", _LOCK, "the thread"),
    0x2000: kind("executable pool asked for", "address in the driver", POOL_TYPE, "tag"),
}  # fmt: skip
