"""Bug checks: which one Windows raises for a fault, its parameters, and a sentence about it.

Codes and parameters are those of Microsoft's pages "Bug Check 0x…: NAME" (Bug check code
reference). Of records whose address is one :mod:`.crash_records` writes the exception's and the
context's; trap frames are not made, and 0 is passed for theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata
from kernellab.protocol import Frame, RelatedStack

from ..machine.cpu import Fault
from ..machine.memory import HIGHEST_USER, KERNEL_START, PAGE
from . import crash_records
from .exceptions import NONCONTINUABLE, Record

if TYPE_CHECKING:
    from .execution import Context
    from .kernel import Kernel
    from .pool import Allocation

_ACCESS_VIOLATION: Final = 0xC0000005
_FAST_FAIL_STATUS: Final = 0xC0000409
#: What the CPU tells as the address of one that no pointer can have.
_NOWHERE: Final = 0xFFFF_FFFF_FFFF_FFFF
_EXCEPTIONS: Final = {
    0: (0xC0000094, "divided an integer by zero"),
    3: (0x80000003, "ran into a breakpoint, and no debugger is attached"),
    6: (0xC000001D, "executed an instruction that does not exist"),
    13: (_ACCESS_VIOLATION, "used an address that no pointer can have, or a forbidden instruction"),
}
#: How an access is told in the parameters: of 0x50 since Windows 10 1703, and of 0xCC, 0xCD, 0xD5
#: and 0xD6, which say 1 for a write.
_SINCE_VISTA_OP: Final = {"read": 0, "write": 2, "execute": 0x10}
_POOL_OP: Final = {"read": 0, "write": 1, "execute": 0}
_IRQL_OP: Final = {"read": 0, "write": 1, "execute": 8}

#: Fast-fail codes (FAST_FAIL_… in winnt.h) that drivers meet: "Bug Check 0x139" lists them.
_FAST_FAIL: Final = {
    0: "a stack buffer was overrun (found by /GS)",
    1: "a virtual function table was corrupted",
    2: "a stack buffer was overrun, the security cookie is wrong",
    3: "a LIST_ENTRY was corrupted, as when an entry is removed twice",
    4: "the stack pointer is outside of the stack",
    5: "a routine was given an argument that is fatal",
    6: "the security cookie was not initialised",
    7: "a fatal exit was asked for",
    8: "an array index was out of bounds",
    10: "an indirect call went to no valid target",
    14: "a reference count is invalid",
    18: "a jump buffer was corrupted",
    29: "a balanced tree was corrupted",
}


class BugCheck(Exception):
    """The kernel stops. ``message`` is one sentence for a person."""

    def __init__(self, name_or_code: str | int, *parameters: int, message: str = "") -> None:
        if isinstance(name_or_code, str):
            code = ntdata.bugcheck_code(name_or_code)
        else:
            code = name_or_code & 0xFFFFFFFF
        self.code = code
        self.name = ntdata.bugcheck_name(code)
        self.parameters = (*parameters, 0, 0, 0, 0)[:4]
        self.message = message
        #: Stacks of earlier moments that explain it: what happened there, and where.
        self.related: list[tuple[str, Context]] = []
        #: What the kernel adds when it stops: see :meth:`.kernel.Kernel.run`.
        self.report: Report | None = None
        super().__init__(f"{self.name} ({code:#x})")


@dataclass(slots=True)
class Report:
    """A bug check as the endpoint tells it."""

    code: int
    name: str
    parameters: tuple[int, ...]
    message: str
    driver: str
    frames: list[Frame]
    instruction: str = ""
    registers: dict[str, int] = field(default_factory=dict)
    related: list[RelatedStack] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """The event's fields, as the protocol has them."""
        from kernellab.protocol import frame_fields, related_fields

        return {
            "driver": self.driver,
            "code": f"{self.code:#X}".replace("0X", "0x"),
            "name": self.name,
            "parameters": [f"{p & 0xFFFF_FFFF_FFFF_FFFF:#x}" for p in self.parameters],
            "frames": [frame_fields(f) for f in self.frames],
            "message": self.message,
            "instruction": self.instruction,
            "related": [related_fields(r) for r in self.related],
            "registers": {n: f"{v:#018x}" for n, v in self.registers.items()},
        }


def for_fault(k: Kernel, fault: Fault) -> BugCheck:
    """The bug check that an unhandled exception in kernel mode becomes."""
    if fault.vector == 14:
        return _page_fault(k, fault)
    if fault.vector == 0x29:
        reason = k.cpu.registers()["rcx"]
        what = _FAST_FAIL.get(reason, "its own data is corrupted")
        found = Record(_FAST_FAIL_STATUS, NONCONTINUABLE, fault.rip, (reason,))
        record, _ = crash_records.write(k, found, trapped=False)
        return BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", reason, 0, record),
            message=f"The driver stopped itself: {what} (fast-fail code {reason}).",
        )
    status, what = _EXCEPTIONS.get(fault.vector, (_ACCESS_VIOLATION, "raised an exception"))
    parameters = (0, _NOWHERE) if status == _ACCESS_VIOLATION else ()
    return _unhandled(k, Record(status, 0, fault.rip, parameters), f"The driver {what}.")


def for_status(
    k: Kernel, status: int, message: str, *, flags: int = 1, parameters: tuple[int, ...] = ()
) -> BugCheck:
    """The bug check for an exception that a routine raised and that nothing handled."""
    rip = k.memory.u64(k.flow.trap_rsp)
    record = Record(status & 0xFFFFFFFF, flags, rip, parameters)
    return _unhandled(k, record, message, trapped=True)


def _unhandled(k: Kernel, found: Record, message: str, *, trapped: bool = False) -> BugCheck:
    """An exception that nobody handles: which bug check depends on whose thread it is in."""
    status, rip = found.status, found.address
    if k.cpu.irql >= 2:
        first, second = (*found.parameters, 0, 0)[:2]
        name = "KMODE_EXCEPTION_NOT_HANDLED"
        return BugCheck(name, status, rip, first, second, message=message)
    record, context = crash_records.write(k, found, trapped=trapped)
    if k.in_system_service:
        return BugCheck("SYSTEM_SERVICE_EXCEPTION", status, rip, context, 0, message=message)
    name = "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"
    return BugCheck(name, status, rip, record, context, message=message)


def _pageable(k: Kernel, address: int) -> str:
    """What the pageable memory at an address is."""
    if address <= HIGHEST_USER:
        return f"user memory at {address:#x}"
    near = k.pool.near(address)
    if near is None:
        return f"{address:#x}, which is in a pageable section,"
    allocation = near[0]
    offset = address - allocation.address
    return (
        f"offset {offset} of {allocation.size} bytes of paged pool with tag '{allocation.tag_text}'"
    )


def _beyond(k: Kernel, address: int, allocation: Allocation) -> str:
    """Where an address is that lies in the unmapped page behind an allocation."""
    after = k.pool.live.get(allocation.first + (allocation.pages + 1) * PAGE)
    if after is not None and after.address - address < address - allocation.address:
        before = after.address - address
        return (
            f"{before} {'byte' if before == 1 else 'bytes'} before the beginning of an allocation "
            f"of {after.size} bytes of pool with tag '{after.tag_text}'."
        )
    return (
        f"past the end of an allocation: offset {address - allocation.address} of "
        f"{allocation.size} bytes of pool with tag '{allocation.tag_text}'."
    )


def _page_fault(k: Kernel, fault: Fault) -> BugCheck:
    address, access, rip = fault.address, fault.access, fault.rip
    verb = {"read": "read", "write": "wrote to", "execute": "jumped to"}[access]
    page = k.memory.page(address)
    violation = Record(_ACCESS_VIOLATION, 0, rip, (_IRQL_OP[access], address))
    if k.flow.in_guard(address):
        return BugCheck(
            "UNEXPECTED_KERNEL_MODE_TRAP",
            8,
            address,
            message="The driver used up its kernel stack (24 KB): endless or deep recursion, "
            "or large local variables.",
        )
    if k.irql >= 2 and page is not None and k.pageable(address):
        return BugCheck(
            "IRQL_NOT_LESS_OR_EQUAL" if k.in_kernel(rip) else "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
            *(address, k.irql, _IRQL_OP[access], rip),
            message=f"The driver {verb} {_pageable(k, address)} at IRQL {k.irql}: it may be paged "
            "out, and a page fault cannot be handled at DISPATCH_LEVEL (2) and above.",
        )
    if page is None and (gone := k.unloaded_at(address)) is not None:
        message = (
            f"{gone.name} was unloaded, and is still used: something it had started (a thread, a "
            "timer, a DPC, a work item, a callback) was not ended in DriverUnload."
        )
        operation = _POOL_OP[access]
        if k.cpu.irql >= 2:
            return BugCheck(
                "SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD",
                *(address, k.cpu.irql, operation, rip),
                message=message,
            )
        return BugCheck(
            "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
            *(address, operation, rip),
            message=message,
        )
    if page is not None and access == "execute":
        what = "is memory of a program (SMEP)" if page.user else "holds data, not code"
        return BugCheck(
            *("ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY", address, k.memory.entry(address)),
            message=f"The driver jumped to {address:#x}, which {what}.",
        )
    if page is not None and page.user and access == "write":
        message = f"The driver wrote to {address:#x}, which is read-only memory of a program."
        return _unhandled(k, violation, message)
    if page is not None and access == "write":
        return BugCheck(
            *("ATTEMPTED_WRITE_TO_READONLY_MEMORY", address, k.memory.entry(address)),
            message=f"The driver wrote to {address:#x}, which is read-only.",
        )
    if address >= KERNEL_START and (near := k.pool.near(address)) is not None:
        allocation, freed = near
        offset = address - allocation.address
        what = f"{allocation.size} bytes of pool with tag '{allocation.tag_text}'"
        # The system's own routine can touch it too, given a bad pointer: then it is 0xCC or 0xCD.
        prefix = "" if k.in_kernel(rip) else "DRIVER_"
        if freed:
            return BugCheck(
                f"{prefix}PAGE_FAULT_IN_FREED_SPECIAL_POOL",
                *(address, _POOL_OP[access], rip),
                message=f"The driver {verb} memory after it was freed: offset {offset} of {what}.",
            )
        return BugCheck(
            f"{prefix}PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
            *(address, _POOL_OP[access], rip),
            message=f"The driver {verb} memory {_beyond(k, address, allocation)}",
        )
    if k.cpu.irql >= 2:
        return BugCheck(
            "IRQL_NOT_LESS_OR_EQUAL" if k.in_kernel(rip) else "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
            *(address, k.cpu.irql, _IRQL_OP[access], rip),
            message=f"The driver {verb} {address:#x} at IRQL {k.cpu.irql}, "
            "where a page fault cannot be handled.",
        )
    if address <= HIGHEST_USER:
        where = "address 0" if address == 0 else f"{address:#x}"
        if access == "execute":
            message = f"The driver jumped to {where}, where no code is."
        elif address < 0x10000:
            message = f"The driver {verb} {where}: a null pointer was used."
        else:
            message = f"The driver {verb} {where}, where no memory is mapped."
        return _unhandled(k, violation, message)
    return BugCheck(
        "PAGE_FAULT_IN_NONPAGED_AREA",
        *(address, _SINCE_VISTA_OP[access], rip),
        message=f"The driver {verb} {address:#x}, where no memory is mapped.",
    )
