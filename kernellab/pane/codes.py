"""Bug checks for a person: the usual cause of each, what its parameters are, where to read on.

After Microsoft's pages "Bug Check 0x…: NAME" (Bug check code reference); for the codes that drivers
meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .code_checks import RESERVED
from .code_kinds import KINDS

_ACCESS: Final = "0 read, 1 write"
#: Of parameters that the page is silent on, and of those that it says there are none of.
_UNNAMED: Final = "not named on Microsoft's page"
_NONE: Final = "not used"


@dataclass(frozen=True, slots=True)
class Explanation:
    """``cause`` is a sentence; ``parameters`` names up to four, the others are reserved.

    Where one of them chooses what the others are, :data:`.code_kinds.KINDS` has the rows.
    """

    cause: str
    parameters: tuple[str, ...] = ()


_EXCEPTION: Final = ("exception code", "address of the instruction")
_IRQL: Final = ("memory referenced", "IRQL", f"access: {_ACCESS}, 8 execute", "instruction")
_SPECIAL_POOL: Final = ("memory referenced", f"access: {_ACCESS}", "instruction")
_LEFT: Final = (
    "Something of a driver was still under way when it was unloaded. DriverUnload has to cancel "
    "timers, flush DPCs, take callbacks back, and wait for threads and work items."
)

#: Of codes whose parameter 1 is of a kind that is not known here.
_BY_KIND: Final = ("depends on the kind",) * 3


def _on_sim(*passed: str, rest: str = _UNNAMED) -> tuple[str, ...]:
    """What ``sim`` passes where Microsoft's page names no parameters, and the word for the rest."""
    return (*(f"{what} (on sim)" for what in passed), *(rest,) * 4)[:4]


_CODES: Final[dict[int, Explanation]] = {
    0x01: Explanation(
        "Critical or guarded regions were entered and left a different number of times: each "
        "KeEnterCriticalRegion needs its KeLeaveCriticalRegion.",
        (
            "system call or worker routine",
            "APC state index",
            "APC disable counts: special in the upper 16 bits, normal in the lower",
            "0 system call, 1 worker routine",
        ),
    ),
    0x03: Explanation(
        "A thread was to run on processors that the machine does not have.",
        _on_sim("the affinity asked for"),
    ),
    0x05: Explanation(
        "KeAttachProcess was called by a thread that is attached to another process already, "
        "or in a DPC.",
        (
            "process attached to, or the first one",
            "process that the thread is in",
            "APC state index",
            "not 0 while a DPC runs",
        ),
    ),
    0x06: Explanation(
        "KeUnstackDetachProcess was called with what KeStackAttachProcess did not fill, or in "
        "another state.",
        _on_sim(),
    ),
    0x09: Explanation(
        "The IRQL was raised to a level below the current one.",
        _on_sim("IRQL before", "IRQL asked for"),
    ),
    0x0A: Explanation(
        "A routine of the kernel touched memory that is paged out or not mapped, at a raised IRQL: "
        "usually because a driver gave it a bad pointer, or called it at too high an IRQL.",
        _IRQL,
    ),
    0x0C: Explanation(
        "A thread waited for more objects at once than it may: 3 without a WaitBlockArray, 64 "
        "with one.",
        _on_sim(rest=_NONE),
    ),
    0x0F: Explanation(
        "A spin lock was acquired a second time by the processor that holds it.",
        _on_sim("the spin lock", rest=_NONE),
    ),
    0x10: Explanation(
        "A spin lock was released that nobody holds.",
        _on_sim("the spin lock"),
    ),
    0x11: Explanation(
        "A mutex was released by a thread that does not own it.",
        _on_sim("thread", "owner", "mutex"),
    ),
    0x18: Explanation(
        "Object references are given back more often than they are taken.",
        ("object type", "the object"),
    ),
    0x19: Explanation(
        "The headers of pool were overwritten: somebody wrote past the end of an allocation.",
        ("kind of corruption", *_BY_KIND),
    ),
    0x1A: Explanation(
        "What the kernel knows of memory does not fit: a page that is not locked was mapped, "
        "or a range was given back that was never taken.",
        ("kind of damage", *_BY_KIND),
    ),
    0x1E: Explanation(
        "An exception that nobody handles, at a raised IRQL or in a DPC.",
        (*_EXCEPTION, "parameter 0 of the exception", "parameter 1 of the exception"),
    ),
    0x20: Explanation(
        "A thread ended inside of a critical or guarded region that it did not leave.",
        ("the pending APC", "APC disable count of the thread", "IRQL"),
    ),
    0x35: Explanation(
        "An IRP was passed down to more devices than it has stack locations.", ("the IRP",)
    ),
    0x3B: Explanation(
        "An exception that nobody handles, in a call from a program: a null or stale pointer, most "
        "often.",
        (*_EXCEPTION, "context record"),
    ),
    0x3F: Explanation(
        "The address range for mappings is used up: something maps pages, and does not unmap them.",
        ("0 system space, 1 nonpaged pool", "size asked for", "free entries", "entries in all"),
    ),
    0x40: Explanation(
        "IoBuildPartialMdl was given a target MDL that is too small for the range.",
        _on_sim(rest=_NONE),
    ),
    0x44: Explanation(
        "Two pieces of code both believe that they own an IRP, and both completed it; or one that "
        "was given to another driver was completed.",
        ("the IRP",),
    ),
    0x48: Explanation(
        "An IRP was cancelled that is completed already: its cancel routine was not taken "
        "away (IoSetCancelRoutine) before.",
        (
            "the IRP",
            "cancel routine",
        ),
    ),
    0x4E: Explanation(
        "The lists of physical pages are damaged, by an MDL most often.",
        ("kind of damage", *_BY_KIND),
    ),
    0x50: Explanation(
        "Memory of the system was touched that does not exist: a wild or stale pointer.",
        ("memory referenced", "access: 0 read, 2 write, 0x10 execute", "instruction", "kind"),
    ),
    0x76: Explanation(
        "A driver left pages of a process locked: MmProbeAndLockPages without MmUnlockPages.",
        ("0 pages left locked, 1 unlocked too often", *_BY_KIND),
    ),
    0x7E: Explanation(
        "An exception that nobody handles, in a thread of the system: DriverEntry, DriverUnload, a "
        "work item, a system thread.",
        (*_EXCEPTION, "exception record", "context record"),
    ),
    0x7F: Explanation(
        "The processor met a trap that the kernel cannot handle; 8, the double fault, is a kernel "
        "stack that is used up.",
        ("trap number, 8 the double fault", _UNNAMED, _UNNAMED, _UNNAMED),
    ),
    0x93: Explanation(
        "A handle was closed or used that is not open.",
        (
            "the handle",
            "0 a protected handle, 1 an invalid one; the handle table where parameter 4 is 1",
            RESERVED,
            "1 found as it was used, 0 as it was closed",
        ),
    ),
    0xB8: Explanation(
        "A DPC tried to wait. DPCs must not wait: queue a work item for that.",
        ("old thread", "new thread", "stack of the old thread"),
    ),
    0xBE: Explanation(
        "A constant, or code, was written to: a string literal perhaps, or memory that is mapped "
        "read-only.",
        ("memory written", "page table entry"),
    ),
    0xBF: Explanation(
        "A thread acquired a fast mutex that it holds already: it would wait for itself for ever.",
        (
            "mutex",
            "thread",
        ),
    ),
    0xC1: Explanation(
        "Memory beside an allocation was overwritten.",
        ("address freed, or the IRQL", *_BY_KIND[:2], "kind of damage"),
    ),
    0xC2: Explanation(
        "Pool was freed wrongly: twice, with another tag, or at an address that was not allocated.",
        ("kind of mistake", *_BY_KIND),
    ),
    0xC4: Explanation(
        "Driver Verifier found a mistake.",
        ("which check", *_BY_KIND),
    ),
    0xC5: Explanation(
        "The lists of free pool were damaged, by a write past an allocation.",
        (*_IRQL[:2], f"access: {_ACCESS}", "instruction"),
    ),
    0xC7: Explanation(
        _LEFT,
        ("what was found", *_BY_KIND),
    ),
    0xC9: Explanation(
        "An IRP, or a device object, is not what the I/O manager was told it is.",
        ("which check", *_BY_KIND),
    ),
    0xCA: Explanation(
        "A driver told the PnP manager what cannot be: of a device that is no PDO, or twice "
        "of the same one.",
        ("kind of mistake", *_BY_KIND),
    ),
    0xCC: Explanation(
        "A routine of the kernel was given a pointer to pool that was freed already.", _SPECIAL_POOL
    ),
    0xCD: Explanation(
        "A routine of the kernel was given a length that goes past the end of an allocation.",
        _SPECIAL_POOL,
    ),
    0xCE: Explanation(_LEFT, ("memory referenced", f"access: {_ACCESS}", "instruction")),
    0xD1: Explanation(
        "A driver touched memory that is paged out or not mapped, at DISPATCH_LEVEL or above: a "
        "bad pointer, or paged memory under a spin lock or in a DPC.",
        _IRQL,
    ),
    0xD3: Explanation(
        "Code or data that can be paged out was used at a raised IRQL.",
        (*_IRQL[:2], f"access: {_ACCESS}", "instruction"),
    ),
    0xD4: Explanation(
        _LEFT,
        (*_IRQL[:2], f"access: {_ACCESS}", "instruction"),
    ),
    0xD5: Explanation(
        "A driver used pool after it had freed it: a pointer that was kept too long.", _SPECIAL_POOL
    ),
    0xD6: Explanation(
        "A driver read or wrote past the end of an allocation: a length or an index is wrong.",
        _SPECIAL_POOL,
    ),
    0xD7: Explanation(
        "A view of system space was unmapped that is not mapped: unmapped twice, perhaps.",
        ("address", "1 unmapped, 2 committed"),
    ),
    0xDA: Explanation(
        "Mapped memory was given back wrongly: unmapped twice, or in other pieces than it was "
        "mapped.",
        ("kind of misuse", *_BY_KIND),
    ),
    0xE1: Explanation(
        "A work item returned at a raised IRQL.",
        ("routine", "IRQL it returned at", "its parameter", "the work item"),
    ),
    0xE2: Explanation(
        "Somebody stopped the machine on purpose; a driver in Rust does so when it panics.",
        ("who did", *_BY_KIND),
    ),
    0xE3: Explanation(
        "A resource was released by a thread that does not hold it.",
        ("the resource", "the thread", "table of owners, where there is one"),
    ),
    0xE4: Explanation(
        "A work item was queued that is queued already, or its memory was freed while it was "
        "queued.",
        ("kind of mistake", *_BY_KIND),
    ),
    0xE7: Explanation(
        "Floating-point state was restored by another thread, or at another IRQL, than saved it.",
        ("kind of mistake", *_BY_KIND),
    ),
    0xE9: Explanation(
        "A work item ended the system's worker thread that it ran on.",
        ("thread",),
    ),
    0xFC: Explanation(
        "Data was executed: a function pointer that is wrong or was overwritten.",
        ("address", "page table entry"),
    ),
    0x12E: Explanation(
        "IoBuildPartialMdl was asked for a range that its source MDL does not describe.",
        ("source MDL", "target MDL", "address", "length"),
    ),
    0x133: Explanation(
        "A processor was kept at DISPATCH_LEVEL or in a DPC for too long: an endless loop, or a "
        "spin lock that nobody gives back.",
        ("0 one DPC, 1 in all", *_BY_KIND),
    ),
    0x139: Explanation(
        "Code found its own data damaged and stopped at once: a list entry removed twice, a buffer "
        "on the stack overrun.",
        ("fast-fail code", "trap frame", "exception record"),
    ),
    0x4000008A: Explanation(
        "A thread ended while it owned a mutex.",
        ("thread that owns it", "mutex"),
    ),
}


def explain(code: str) -> Explanation | None:
    """What is known of a bug check code given as hexadecimal text."""
    try:
        return _CODES.get(int(code, 16))
    except ValueError:
        return None


def page(code: str, name: str) -> str:
    """The title of the page to read on, empty where the code is not one of Microsoft's."""
    return f"Bug Check 0x{int(code, 16):X}: {name}" if explain(code) is not None else ""


def meanings(code: str, parameters: Sequence[str]) -> tuple[str, ...]:
    """What each parameter, given as hexadecimal text, is; empty text where that is not known."""
    found = explain(code)
    if found is None:
        return ("",) * len(parameters)
    named = [*found.parameters, *(RESERVED,) * 4][: len(parameters)]
    chooser, rows = KINDS.get(int(code, 16), (1, {}))
    try:
        kind = rows.get(int(parameters[chooser - 1], 16))
    except (IndexError, ValueError):
        kind = None
    if kind is not None:
        what, *others = kind
        others.insert(chooser - 1, what)
        named = others[: len(parameters)]
    return tuple(named)


#: Lessons of the course by what they are on, and the codes that belong there; all others: 13.
_LESSONS: Final = {
    "lesson 2 (pool)": (0x19, 0xC1, 0xC2, 0xC5, 0xCC, 0xCD, 0xD5, 0xD6),
    "lesson 7 (IRQL and locks)": (
        *(0x01, 0x09, 0x0A, 0x0F, 0x10, 0x11, 0xB8, 0xBF, 0xD1, 0xD3, 0xE3, 0x133, 0x4000008A),
    ),
    "lesson 8 (threads and timers)": (0x0C, 0x20, 0xC7, 0xCE, 0xD4, 0xE1, 0xE4, 0xE9),
    "lesson 9 (pending and cancelling)": (0x35, 0x44, 0x48, 0xC9),
    "lesson 10 (user memory)": (0x05, 0x06, 0x1A, 0x3F, 0x40, 0x4E, 0x76, 0xD7, 0xDA, 0x12E),
}


def lesson(code: str) -> str:
    """Which of kernellab's lessons is on that; empty where the code is not known."""
    if explain(code) is None:
        return ""
    number = int(code, 16)
    named = (name for name, codes in _LESSONS.items() if number in codes)
    return f"kernellab's {next(named, 'lesson 13 (bug checks)')}"
