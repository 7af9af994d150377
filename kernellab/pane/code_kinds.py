"""Bug checks whose parameter 1 (of 0xC1: parameter 4) says what the others are, one row for each.

After the tables of Microsoft's pages "Bug Check 0x…: NAME", in other words; of each table the rows
that a driver can bring about itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .code_checks import IRQL, POOL_TYPE, RESERVED, VERIFIER, Kind, kind

_NO: Final = RESERVED
_APC_BEFORE: Final = "APC disable count before the routine"
_APC_AFTER: Final = "APC disable count after the routine"


_BAD_POOL_HEADER: Final[Mapping[int, Kind]] = {
    0x02: kind("special pool's pattern was overwritten", "pool entry", "size of the block"),
    0x03: kind("the list of free pool is corrupt", "pool entry", "Flink read", "Blink read"),
    0x05: kind("neighbours' headers contradict each other", "one entry", _NO, "the other entry"),
    0x06: kind("a block's previous size is too large", "entry computed", _NO, "the bad entry"),
    0x07: kind("the size in a block's header is corrupt", _NO, _NO, "the bad entry"),
    0x08: kind("the size in a block's header is zero", _NO, _NO, "the bad entry"),
    0x09: kind("the size in a block's header is too large", "entry computed", _NO, "the bad entry"),
    0x0A: kind(
        "the size in a block's header is corrupt", "entry looked for", _NO, "page it should be in"
    ),
    0x20: kind(
        "the size in a block's header is corrupt", "entry looked for", "the next pool entry"
    ),
    0x21: kind(
        "what stands behind the block that is freed was overwritten",
        *("address freed", "bytes allocated", "value found behind the block"),
    ),
    0x22: kind("an address is freed that is not tracked: freed already?", "address freed"),
    **dict.fromkeys(
        (0x0D, 0x0E, 0x0F, 0x23, 0x24, 0x25), kind("a freed block's header was changed afterwards")
    ),
}

_MEMORY_MANAGEMENT: Final[Mapping[int, Kind]] = {
    0x1010: kind("a pageable section is unlocked that is not locked"),
    0x1233: kind("a physical page is mapped that is not locked", "page frame number"),
    0x1234: kind("a pageable section is locked that does not exist"),
    0x1235: kind("an MDL is to be protected whose mapping is invalid"),
    0x1236: kind(
        "an MDL has a page that is not locked, or invalid",
        *("the MDL", "where the page number stands", "the page number"),
    ),
    0x1240: kind(
        "an MDL is made of addresses that are not resident", "the MDL", "page table entry"
    ),
    0x5200: kind(
        "a free pool block was overwritten", "the free block", "value found", "value expected"
    ),
    0x61946: kind("MmProbeAndLockPages makes an MDL that cannot be right"),
}

_PFN_LIST_CORRUPT: Final[Mapping[int, Kind]] = {
    0x01: kind("the head of the list is corrupt", "list head", "pages available"),
    0x02: kind(
        "an entry of the list is corrupt", "entry", "highest page number", "its reference count"
    ),
    0x07: kind(
        "a page was unlocked more often than it was locked", "page frame number", "share count"
    ),
    0x8D: kind("the list of free pages is corrupt", "page frame number"),
    0x8F: kind("the head of the list of free pages is corrupt", "new page", "old page"),
    0x99: kind("a page table entry or page is corrupt", "page frame number", "the page's state"),
    0x9A: kind(
        "a page is freed that is locked for I/O",
        *("page frame number", "the page's state", "its reference count"),
    ),
}

_SPECIAL_POOL_DAMAGE: Final[Mapping[int, Kind]] = {
    0x20: kind("freed what is not allocated", "address freed"),
    **dict.fromkeys(
        (0x21, 0x22),
        kind("freed a wrong address", "address freed", "bytes asked for", "bytes given"),
    ),
    0x23: kind(
        "bytes near the allocation, in its page, were changed", "address freed", "first one changed"
    ),
    0x24: kind(
        "bytes behind the allocation were overwritten", "address freed", "first one changed"
    ),
    0x30: kind("allocated at a wrong IRQL", IRQL, POOL_TYPE, "bytes"),
    0x31: kind("freed at a wrong IRQL", IRQL, POOL_TYPE, "address freed"),
    0x32: kind("one bit near the allocation was changed", "address freed", "where the bit is"),
}

_BAD_POOL_CALLER: Final[Mapping[int, Kind]] = {
    0x00: kind("asked for zero bytes", _NO, POOL_TYPE, "tag"),
    **dict.fromkeys(
        (0x01, 0x02, 0x04),
        kind("the pool's header is corrupt", "pool header", "first part of its contents"),
    ),
    0x06: kind("freed already", _NO, "pool header", "its contents"),
    0x07: kind("freed already", _NO, "contents of the pool header", "address freed"),
    0x08: kind("allocated at a wrong IRQL", IRQL, POOL_TYPE, "bytes"),
    0x09: kind("freed at a wrong IRQL", IRQL, POOL_TYPE, "address freed"),
    0x0A: kind(
        "freed with a wrong tag", "address freed", "tag it was allocated with", "tag given"
    ),
    **dict.fromkeys(
        (0x0B, 0x0C, 0x0D),
        kind("its quota cannot be given back", "pool's address", "its tag", "bad process pointer"),
    ),
    0x40: kind("freed a user address", "address freed", "where system space begins"),
    **dict.fromkeys(
        (0x41, 0x47),
        kind(
            "freed nonpaged pool that is not allocated",
            *("address freed", "its page frame", "highest page frame"),
        ),
    ),
    **dict.fromkeys((0x42, 0x43), kind("freed what never was in a pool", "address freed")),
    0x44: kind("freed nonpaged pool that is not allocated", "address freed"),
    0x46: kind("freed an address that no allocation begins at", "address freed"),
    0x48: kind("freed paged pool that is not allocated", "address freed"),
    0x50: kind(
        "freed paged pool that is not allocated",
        *("address freed", "pages from the pool's begin", "bytes of the pool"),
    ),
    0x60: kind("MmFreeContiguousMemory was given a wrong address", "address freed"),
    0x99: kind("freed a wrong address, or its header is corrupt", "address freed"),
    0x9B: kind("allocated with a tag of 0", POOL_TYPE, "bytes", "caller's address"),
    0x9D: kind(
        "the tag has no letter and no digit", "the tag", POOL_TYPE, "caller's address"
    ),
}  # fmt: skip

_TIMER_OR_DPC: Final[Mapping[int, Kind]] = {
    0: kind("a timer is where none may be", "the timer", "begin of the memory", "its end"),
    1: kind("a DPC is where none may be", "the DPC", "begin of the memory", "its end"),
    2: kind(
        "a DPC's routine is where none may be", "the routine", "begin of the memory", "its end"
    ),
    3: kind(
        "a DPC is for a processor that does not exist", "the DPC", "processor", "processors there"
    ),
    4: kind(
        "a DPC's routine changed the APC disable count", "the routine", _APC_BEFORE, _APC_AFTER
    ),
    5: kind(
        "a timer's DPC changed the APC disable count", "the routine", _APC_BEFORE, _APC_AFTER
    ),
}  # fmt: skip

_IO_MANAGER: Final[Mapping[int, Kind]] = {
    0x01: kind("freed as an IRP, and is none", "address freed"),
    0x02: kind("an IRP was freed that still belongs to a thread", "the IRP"),
    0x03: kind("IoCallDriver was given what is no IRP", "what was sent"),
    0x04: kind("IoCallDriver was given what is no device object", "what was given"),
    0x05: kind("a dispatch routine changed the IRQL", "device object", "IRQL before", "IRQL after"),
    0x06: kind("an IRP was completed with STATUS_PENDING, or -1", "status", "the IRP"),
    0x07: kind("an IRP was completed with a cancel routine set", "cancel routine", "the IRP"),
    0x08: kind(
        "IoBuildAsynchronousFsdRequest was given a bad buffer",
        *("device object", "major function", "exception status"),
    ),
    0x09: kind(
        "IoBuildDeviceIoControlRequest was given a bad buffer",
        *("device object", "control code", "exception status"),
    ),
    0x0A: kind("IoInitializeTimer was called twice for a device", "device object"),
    0x0C: kind("an I/O status block was on a stack that is unwound", "I/O status block"),
    0x0D: kind("an IRP's event was on a stack that is unwound", "the event"),
    0x0E: kind("IoCompleteRequest was called above DISPATCH_LEVEL", IRQL, "the IRP"),
    0x0F: kind(
        "a create request's file object was closed already",
        *("device object", "the IRP", "file object"),
    ),
    0x10: kind("IoCallDriver was called above DISPATCH_LEVEL", IRQL),
}

_PNP: Final[Mapping[int, Kind]] = {
    0x1: kind("two PDOs have the same IDs", "new PDO", "older PDO"),
    0x2: kind("what was given is no PDO", "what was given", "driver object"),
    0x3: kind(
        "an ID has characters that it may not have, or no end",
        *("the PDO", "the ID", "1 device, 2 instance, 3 hardware, 4 compatible IDs"),
    ),
    0x4: kind("a deleted PDO was reported", "the PDO"),
    0x5: kind("a PDO was freed while its device is present", "the PDO"),
    0x8: kind("a bus relation is NULL", "PDO that was asked", "PDOs reported", "the first NULL"),
    0x9: kind("IoDisconnectInterruptEx was given a wrong type", "type given"),
    0xA: kind(
        "a notification routine changed the IRQL or the APC disable count",
        *("driver object", "IRQL after", "APC disable count after"),
    ),
    0xB: kind("a deleted PDO was reported as a relation", "related PDO", "removal relations"),
}

_FIRST: Final = "first mapped address"
_TAG: Final = "caller's tag"
_OWNER: Final = "owner's tag"
_SYSTEM_PTE: Final[Mapping[int, Kind]] = {
    0x01: kind("a mapping is there twice", "record of it", "the MDL", "the other record"),
    0x02: kind("another number of pages than was mapped", "record", "pages mapped", "pages given"),
    0x03: kind("another address than it was mapped at", "record", "mapped at", "address given"),
    0x04: kind("the MDL's first page was changed", "record", "page when mapped", "page now"),
    0x05: kind("the MDL's address was changed", "record", "address when mapped", "address now"),
    0x06: kind("the MDL is not mapped", "the MDL", "address given", "pages given"),
    0x100: kind("asked for 0 mappings", "mappings asked for", _TAG, "the caller's caller"),
    0x101: kind("freed a range that another owns", _FIRST, _TAG, _OWNER),
    0x102: kind("freed a range that is not reserved", _FIRST, _TAG),
    0x103: kind("freed a range that is mapped", "the mapping", _TAG, "mappings"),
    0x104: kind("mapped into a range that another owns", _FIRST, _TAG, _OWNER),
    0x105: kind("mapped into a range that is not reserved", _FIRST, _TAG),
    0x107: kind("mapped into a range that is mapped", _FIRST, "the mapping", "last address"),
    0x108: kind("unmapped a range that another owns", _FIRST, _TAG, _OWNER),
    0x109: kind("unmapped a range that is not reserved", _FIRST, _TAG),
    0x10A: kind("unmapped more than there is", _FIRST, "mappings there", "mappings given"),
    0x10B: kind("unmapped a part that is not mapped", _FIRST, _TAG, "mappings given"),
    0x10C: kind("did not unmap all of it", _FIRST, _TAG, "mappings given"),
    0x302: kind("an address is released that is not mapped", "address given"),
    0x303: kind("a range is released that is not reserved", _FIRST, "mappings given"),
    0x304: kind("a range that begins within another", _FIRST, "mappings given"),
    0x305: kind("another size than was mapped", _FIRST, "mappings given", "mappings there"),
}

_ITEM: Final = "the work item"
_WORKER: Final[Mapping[int, Kind]] = {
    0: kind("freed while it is queued", _ITEM, "begin of the pool block", "its end"),
    1: kind("queued already", _ITEM, "queue"),
    2: kind("an I/O work item was freed while it is queued", _ITEM, "its routine"),
    3: kind("an I/O work item of what is no object", _ITEM, "what was given as object"),
    5: kind("the queue is not set up yet", _ITEM, "queue", "NUMA node, -1 for any"),
    6: kind("there is no such queue", _ITEM, "queue"),
    7: kind("its routine is no address of code", _ITEM, "queue"),
}

_FLOATING_POINT: Final[Mapping[int, Kind]] = {
    0: kind("what is restored was not saved there", "flags of the saved state"),
    1: kind("another IRQL than when it was saved", "IRQL when saved", IRQL),
    2: kind("another thread than saved it", "thread that saved", "current thread"),
}

_LOCKED_PAGES: Final[Mapping[int, Kind]] = {
    0: kind(
        "the process ends with pages locked",
        *("the process", "pages locked", "stacks of drivers, where they are kept"),
    ),
    1: kind(
        "pages are unlocked that are not locked",
        *("the MDL", "pages locked in the process", "stacks of drivers, where they are kept"),
    ),
}

_WATCHDOG: Final[Mapping[int, Kind]] = {
    0: kind("one DPC or interrupt routine took too long", "ticks it took", "ticks allowed"),
    1: kind("too long at DISPATCH_LEVEL or above, in all", "the watchdog's period"),
}

#: Of the framework: its panic handler's parameters.
_CRASH_BY_HAND: Final[Mapping[int, Kind]] = {
    0x52555354: kind(
        "the letters RUST: a panic",
        "the source file's name",
        "its length",
        "column, line (32 bits each)",
    ),
}

#: Of each code: the number of the parameter that chooses, and the rows.
KINDS: Final[Mapping[int, tuple[int, Mapping[int, Kind]]]] = {
    0x19: (1, _BAD_POOL_HEADER),
    0x1A: (1, _MEMORY_MANAGEMENT),
    0x4E: (1, _PFN_LIST_CORRUPT),
    0x76: (1, _LOCKED_PAGES),
    0xC1: (4, _SPECIAL_POOL_DAMAGE),
    0xC2: (1, _BAD_POOL_CALLER),
    0xC4: (1, VERIFIER),
    0xC7: (1, _TIMER_OR_DPC),
    0xC9: (1, _IO_MANAGER),
    0xCA: (1, _PNP),
    0xDA: (1, _SYSTEM_PTE),
    0xE2: (1, _CRASH_BY_HAND),
    0xE4: (1, _WORKER),
    0xE7: (1, _FLOATING_POINT),
    0x133: (1, _WATCHDOG),
}
