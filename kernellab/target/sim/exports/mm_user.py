"""User-mode memory: probing it, allocating it, and attaching to the process that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import RaisedStatus
from ..kernel.ob import CURRENT_PROCESS
from ..kernel.process import Process as ProcessRecord
from ..kernel.structs import Struct, const
from ..kernel.thread import Thread
from ..kernel.uservm import PROBE_LIMIT, VmError, protection
from ..machine.memory import PAGE
from .registry import APC_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


# -- probing --------------------------------------------------------------------------------------


def _probe(k: Kernel, address: int, size: int, alignment: int, name: str) -> None:
    if address & (alignment - 1):
        raise RaisedStatus(
            const("STATUS_DATATYPE_MISALIGNMENT"),
            f"{name}: {address:#x} is not a multiple of {alignment}",
        )
    if address + size > PROBE_LIMIT:
        raise RaisedStatus(
            const("STATUS_ACCESS_VIOLATION"),
            f"{name}: {size} bytes at {address:#x} are not in the user-mode address range",
        )


@export("VOID ProbeForRead(PVOID Address, SIZE_T Length, ULONG Alignment)", irql=APC_LEVEL)
def ProbeForRead(k: Kernel, Address: int, Length: int, Alignment: int) -> None:
    """WDK: "ProbeForRead function (wdm.h)": only the range and alignment; nothing is touched."""
    if Length:
        _probe(k, Address, Length, Alignment, "ProbeForRead")
        k.tell("user-probed", Address, Length, False)


@export("VOID ProbeForWrite(PVOID Address, SIZE_T Length, ULONG Alignment)", irql=APC_LEVEL)
def ProbeForWrite(k: Kernel, Address: int, Length: int, Alignment: int) -> None:
    """WDK: "ProbeForWrite function (wdm.h)": each page is read and written."""
    if not Length:
        return
    _probe(k, Address, Length, Alignment, "ProbeForWrite")
    for at in (Address, *range((Address & -PAGE) + PAGE, Address + Length, PAGE)):
        page = k.memory.page(at)
        if page is None or not page.write:
            what = "not mapped" if page is None else "read-only"
            raise RaisedStatus(
                const("STATUS_ACCESS_VIOLATION"),
                f"ProbeForWrite: the user memory at {at:#x} is {what}",
            )
    k.tell("user-probed", Address, Length, True)


# -- other processes ------------------------------------------------------------------------------


@export("PEPROCESS PsGetCurrentProcess(VOID)", irql=DISPATCH_LEVEL)
def PsGetCurrentProcess(k: Kernel) -> int:
    """WDK: "PsGetCurrentProcess function (ntddk.h)": the one it is attached to, if it is."""
    return k.thread.current_process.object


@export("PEPROCESS IoGetCurrentProcess(VOID)", irql=DISPATCH_LEVEL)
def IoGetCurrentProcess(k: Kernel) -> int:
    """WDK: "IoGetCurrentProcess function (ntddk.h)"."""
    return k.thread.current_process.object


#: KAPC_STATE.Process: not attached before; attached to the same process, so nothing to undo.
_NOT_ATTACHED, _SAME = 0, 1


@export("VOID KeStackAttachProcess(PRKPROCESS PROCESS, PRKAPC_STATE ApcState)", irql=APC_LEVEL)
def KeStackAttachProcess(k: Kernel, PROCESS: int, ApcState: int) -> None:
    """WDK: "KeStackAttachProcess function (ntifs.h)"; "Bug Check 0x5"."""
    thread = k.thread
    target = k.ps.process_objects.get(PROCESS)
    if target is None:
        k.ob.get(PROCESS)
        raise BugCheck(
            *("REFERENCE_BY_POINTER", 0, PROCESS),
            message=f"KeStackAttachProcess was given {PROCESS:#x}, which is no process.",
        )
    if k.flow is not thread:
        raise BugCheck(
            *("INVALID_PROCESS_ATTACH_ATTEMPT", PROCESS, thread.current_process.object),
            *(int(thread.attached is not None), 1),
            message="A DPC called KeStackAttachProcess; it may be called by threads only.",
        )
    state = Struct(k.memory, "KAPC_STATE", ApcState)
    if target is thread.current_process:
        state["Process"] = _SAME
    else:
        state["Process"] = thread.attached.object if thread.attached else _NOT_ATTACHED
        _switch(k, thread, target)
    k.tell("process-attached", thread, target)


@export("VOID KeUnstackDetachProcess(PRKAPC_STATE ApcState)", irql=APC_LEVEL)
def KeUnstackDetachProcess(k: Kernel, ApcState: int) -> None:
    """WDK: "KeUnstackDetachProcess function (ntifs.h)"."""
    thread = k.thread
    process = Struct(k.memory, "KAPC_STATE", ApcState)["Process"]
    if process == _SAME:
        k.tell("process-detached", thread)
        return
    if k.flow is not thread or thread.attached is None:
        raise BugCheck(
            "INVALID_PROCESS_DETACH_ATTEMPT",
            message="KeUnstackDetachProcess was called by a thread that is not attached.",
        )
    _switch(k, thread, k.ps.process_objects.get(process) if process else None)
    k.tell("process-detached", thread)


def _switch(k: Kernel, thread: Thread, attached: ProcessRecord | None) -> None:
    # Attached is also who went back to its own process from another one that it is attached to.
    thread.attached = attached
    process = attached or thread.process
    thread.space = process.space
    k.memory.use(process.space)
    k.cpu.set_root(process.space.root)


# -- allocating -----------------------------------------------------------------------------------


def _process(k: Kernel, handle: int) -> ProcessRecord | int:
    """The process that a handle stands for, or why it is none, as an NTSTATUS."""
    if handle == CURRENT_PROCESS:
        return k.thread.current_process
    entry = k.ob.find(handle, k.thread.current_process.pid)
    if entry is None:
        return const("STATUS_INVALID_HANDLE")
    if not isinstance(entry.object.payload, ProcessRecord):
        return const("STATUS_OBJECT_TYPE_MISMATCH")
    return entry.object.payload


@export(
    "NTSTATUS ZwAllocateVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, "
    "ULONG_PTR ZeroBits, PSIZE_T RegionSize, ULONG AllocationType, ULONG Protect)",
    irql=PASSIVE_LEVEL,
    simplified="MEM_RESET, large pages, write watches and PAGE_GUARD are refused",
)
def ZwAllocateVirtualMemory(
    k: Kernel,
    ProcessHandle: int,
    BaseAddress: int,
    ZeroBits: int,
    RegionSize: int,
    AllocationType: int,
    Protect: int,
) -> int:
    """WDK: "ZwAllocateVirtualMemory function (ntifs.h)"."""
    process = _process(k, ProcessHandle)
    if isinstance(process, int):
        return process
    base, size = k.memory.u64(BaseAddress), k.memory.u64(RegionSize)
    reserve, commit = const("MEM_RESERVE"), const("MEM_COMMIT")
    top_down = const("MEM_TOP_DOWN")
    if (ZeroBits > 20 and ZeroBits < 32) or ZeroBits >> 53:
        return const("STATUS_INVALID_PARAMETER_3")
    if AllocationType & ~(reserve | commit | top_down) or not AllocationType & (reserve | commit):
        return const("STATUS_INVALID_PARAMETER_5")
    if base >= PROBE_LIMIT:
        return const("STATUS_INVALID_PARAMETER_2")
    if not size or base + size > PROBE_LIMIT:
        return const("STATUS_INVALID_PARAMETER_4")
    try:
        protection(Protect)
        if AllocationType & reserve or not base:
            down = bool(AllocationType & top_down)
            region = process.vm.reserve(base, size, Protect, top_down=down)
            first, length = region.base, region.size
            if AllocationType & commit:
                try:
                    process.vm.commit(region, first, length, Protect)
                except VmError:
                    process.vm.remove(region)
                    raise
        else:
            first = base & -PAGE
            length = -(-(base + size) // PAGE) * PAGE - first
            found = process.vm.find(first)
            if found is None or first + length > found.base + found.size:
                return const("STATUS_CONFLICTING_ADDRESSES")
            process.vm.commit(found, first, length, Protect)
    except VmError as error:
        return error.status
    k.memory.set_u64(BaseAddress, first)
    k.memory.set_u64(RegionSize, length)
    if process is k.thread.current_process:
        k.tell("user-allocated", first, length)
    return 0


@export(
    "NTSTATUS ZwFreeVirtualMemory(HANDLE ProcessHandle, PVOID *BaseAddress, PSIZE_T RegionSize, "
    "ULONG FreeType)",
    irql=PASSIVE_LEVEL,
    simplified="a part of a reservation can be decommitted, not released",
)
def ZwFreeVirtualMemory(
    k: Kernel, ProcessHandle: int, BaseAddress: int, RegionSize: int, FreeType: int
) -> int:
    """WDK: "ZwFreeVirtualMemory function (ntifs.h)"."""
    process = _process(k, ProcessHandle)
    if isinstance(process, int):
        return process
    if FreeType not in (const("MEM_DECOMMIT"), const("MEM_RELEASE")):
        return const("STATUS_INVALID_PARAMETER_4")
    base, size = k.memory.u64(BaseAddress), k.memory.u64(RegionSize)
    if base >= PROBE_LIMIT:
        return const("STATUS_INVALID_PARAMETER_2")
    region = process.vm.find(base)
    if region is None:
        return const("STATUS_MEMORY_NOT_ALLOCATED")
    if region.kind != "private":
        return const("STATUS_UNABLE_TO_DELETE_SECTION")
    if not size and base & -PAGE != region.base:
        return const("STATUS_FREE_VM_NOT_AT_BASE")
    first = base & -PAGE
    length = -(-(base + size) // PAGE) * PAGE - first if size else region.size
    if first + length > region.base + region.size:
        return const("STATUS_UNABLE_TO_FREE_VM")
    if FreeType == const("MEM_DECOMMIT"):
        process.vm.decommit(region, first, length)
    elif (first, length) != (region.base, region.size):
        return const("STATUS_UNABLE_TO_FREE_VM")
    else:
        process.vm.remove(region)
    k.memory.set_u64(BaseAddress, first)
    k.memory.set_u64(RegionSize, length)
    return 0
