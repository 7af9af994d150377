"""Threads and processors: priorities, affinities, numbers, stacks, floating point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import Call, Steps
from ..kernel.process import grow_stack, shrink_stack
from ..kernel.structs import Struct, const
from ..kernel.thread import Thread
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export, export_data

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_ALL_GROUPS: Final = 0xFFFF
#: FAST_FAIL_INVALID_ARG (wdm.h).
_INVALID_ARGUMENT: Final = 5
#: INVALID_PROCESSOR_INDEX (wdm.h).
_NO_PROCESSOR: Final = 0xFFFF_FFFF
#: Priorities of the variable class; a thread that drivers count from its process's stays in it.
_VARIABLE: Final = range(1, 16)
_PROCESS_PRIORITY: Final = 8
#: KERNEL_LARGE_STACK_SIZE less half a page (MAXIMUM_EXPANSION_SIZE), bytes.
_LARGEST_EXPANSION: Final = 0x12000 - 0x800
#: What a callout finds left of its stack besides what it asked for, bytes.
_SPARE: Final = 0x800


def _thread(k: Kernel, address: int) -> Thread:
    found = k.ps.thread_objects.get(address)
    if found is None:
        k.ob.get(address)  # a bug check where nothing is there
        raise BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", 0x3, address),
            message=f"{address:#x} was used as a thread, and is another object.",
        )
    return found


@export("KPRIORITY KeQueryPriorityThread(PKTHREAD Thread)", irql=DISPATCH_LEVEL)
def KeQueryPriorityThread(k: Kernel, Thread: int) -> int:
    """WDK: "KeQueryPriorityThread function (wdm.h)"."""
    return _thread(k, Thread).priority


@export("KPRIORITY KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)", irql=DISPATCH_LEVEL)
def KeSetPriorityThread(k: Kernel, Thread: int, Priority: int) -> int:
    """WDK: "KeSetPriorityThread function (wdm.h)": 1 to 31; the priority before."""
    if not 1 <= Priority <= const("HIGH_PRIORITY"):
        raise BugCheck(
            *("KERNEL_SECURITY_CHECK_FAILURE", _INVALID_ARGUMENT, Priority),
            message=f"A thread's priority was set to {Priority}; it can be 1 to 31.",
        )
    return k.scheduler.set_priority(_thread(k, Thread), Priority)


@export("LONG KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment)", irql=PASSIVE_LEVEL)
def KeSetBasePriorityThread(k: Kernel, Thread: int, Increment: int) -> int:
    """WDK: "KeSetBasePriorityThread function (ntddk.h)": the increment before."""
    thread = _thread(k, Thread)
    old = thread.base_priority - _PROCESS_PRIORITY
    new = min(max(_PROCESS_PRIORITY + Increment, _VARIABLE[0]), _VARIABLE[-1])
    thread.base_priority = new
    k.scheduler.set_priority(thread, new)
    return old


# -- affinity -------------------------------------------------------------------------------------


def _set_affinity(k: Kernel, affinity: int) -> int:
    """The system affinity of the current thread; the one before, 0 for none."""
    thread = k.thread
    allowed = affinity & k.scheduler.all_processors
    if not allowed:
        raise BugCheck(
            *("INVALID_AFFINITY_SET", affinity),
            message=f"A thread's affinity was set to {affinity:#x}: no such processor is there.",
        )
    old, thread.system_affinity = thread.system_affinity, allowed
    thread.affinity = allowed
    k.cpu.attention = True
    return old


def _revert(k: Kernel) -> None:
    k.thread.system_affinity = 0
    k.thread.affinity = k.scheduler.all_processors


@export("VOID KeSetSystemAffinityThread(KAFFINITY Affinity)", irql=DISPATCH_LEVEL)
def KeSetSystemAffinityThread(k: Kernel, Affinity: int) -> None:
    """WDK: "KeSetSystemAffinityThread function (ntifs.h)": at DISPATCH_LEVEL it takes effect later.

    No processor at all is bug check 3.
    """
    _set_affinity(k, Affinity)


@export("KAFFINITY KeSetSystemAffinityThreadEx(KAFFINITY Affinity)", irql=DISPATCH_LEVEL)
def KeSetSystemAffinityThreadEx(k: Kernel, Affinity: int) -> int:
    """WDK: "KeSetSystemAffinityThreadEx function (wdm.h)": the system affinity before, or 0."""
    return _set_affinity(k, Affinity)


@export("VOID KeRevertToUserAffinityThread(VOID)", irql=DISPATCH_LEVEL)
def KeRevertToUserAffinityThread(k: Kernel) -> None:
    """WDK: "KeRevertToUserAffinityThread function (ntddk.h)"."""
    _revert(k)


@export("VOID KeRevertToUserAffinityThreadEx(KAFFINITY Affinity)", irql=DISPATCH_LEVEL)
def KeRevertToUserAffinityThreadEx(k: Kernel, Affinity: int) -> None:
    """WDK: "KeRevertToUserAffinityThreadEx function (wdm.h)": 0 for the user affinity."""
    if Affinity:
        _set_affinity(k, Affinity)
    else:
        _revert(k)


@export("VOID KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, "
        "PGROUP_AFFINITY PreviousAffinity)", irql=DISPATCH_LEVEL)  # fmt: skip
def KeSetSystemGroupAffinityThread(k: Kernel, Affinity: int, PreviousAffinity: int) -> None:
    """WDK: "KeSetSystemGroupAffinityThread function (wdm.h)": there is group 0 only."""
    new = Struct(k.memory, "GROUP_AFFINITY", Affinity)
    old = _set_affinity(k, 0 if new["Group"] else new["Mask"])
    if PreviousAffinity:
        k.memory.write(PreviousAffinity, old.to_bytes(16, "little"))


@export("VOID KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def KeRevertToUserGroupAffinityThread(k: Kernel, PreviousAffinity: int) -> None:
    """WDK: "KeRevertToUserGroupAffinityThread function (wdm.h)"."""
    KeRevertToUserAffinityThreadEx(k, Struct(k.memory, "GROUP_AFFINITY", PreviousAffinity)["Mask"])


# -- processors -----------------------------------------------------------------------------------


@export("ULONG KeGetCurrentProcessorNumber(VOID)", irql=HIGH_LEVEL)
def KeGetCurrentProcessorNumber(k: Kernel) -> int:
    """WDK: "KeGetCurrentProcessorNumber function (wdm.h)": inline on x64."""
    return k.scheduler.current.number


@export("ULONG KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)", irql=HIGH_LEVEL)
def KeGetCurrentProcessorNumberEx(k: Kernel, ProcNumber: int) -> int:
    """WDK: "KeGetCurrentProcessorNumberEx function (wdm.h)": its index."""
    number = k.scheduler.current.number
    if ProcNumber:
        _write_number(k, ProcNumber, number)
    return number


def _write_number(k: Kernel, address: int, number: int) -> None:
    entry = Struct(k.memory, "PROCESSOR_NUMBER", address)
    entry["Group"], entry["Number"], entry["Reserved"] = 0, number, 0


@export("NTSTATUS KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)",
        irql=HIGH_LEVEL)  # fmt: skip
def KeGetProcessorNumberFromIndex(k: Kernel, ProcIndex: int, ProcNumber: int) -> int:
    """WDK: "KeGetProcessorNumberFromIndex function (wdm.h)"."""
    if ProcIndex >= len(k.scheduler.processors):
        return const("STATUS_INVALID_PARAMETER")
    _write_number(k, ProcNumber, ProcIndex)
    return 0


@export("ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)", irql=HIGH_LEVEL)
def KeGetProcessorIndexFromNumber(k: Kernel, ProcNumber: int) -> int:
    """WDK: "KeGetProcessorIndexFromNumber function (wdm.h)": INVALID_PROCESSOR_INDEX for none."""
    entry = Struct(k.memory, "PROCESSOR_NUMBER", ProcNumber)
    number = entry["Number"]
    valid = not entry["Group"] and number < len(k.scheduler.processors)
    return number if valid else _NO_PROCESSOR


@export("KAFFINITY KeQueryActiveProcessors(VOID)", irql=HIGH_LEVEL)
def KeQueryActiveProcessors(k: Kernel) -> int:
    """WDK: "KeQueryActiveProcessors function (ntddk.h)"."""
    return k.scheduler.all_processors


@export("ULONG KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors)", irql=HIGH_LEVEL)
def KeQueryActiveProcessorCount(k: Kernel, ActiveProcessors: int) -> int:
    """WDK: "KeQueryActiveProcessorCount function (wdm.h)": and which."""
    if ActiveProcessors:
        k.memory.set_u64(ActiveProcessors, k.scheduler.all_processors)
    return len(k.scheduler.processors)


def _count(k: Kernel, group: int) -> int:
    return len(k.scheduler.processors) if group in (0, _ALL_GROUPS) else 0


@export("ULONG KeQueryActiveProcessorCountEx(USHORT GroupNumber)", irql=HIGH_LEVEL)
def KeQueryActiveProcessorCountEx(k: Kernel, GroupNumber: int) -> int:
    """WDK: "KeQueryActiveProcessorCountEx function (wdm.h)": 0 for a group that is not there."""
    return _count(k, GroupNumber)


@export("ULONG KeQueryMaximumProcessorCount(VOID)", irql=HIGH_LEVEL)
def KeQueryMaximumProcessorCount(k: Kernel) -> int:
    """WDK: "KeQueryMaximumProcessorCount function (wdm.h)": none is ever added."""
    return _count(k, 0)


@export("ULONG KeQueryMaximumProcessorCountEx(USHORT GroupNumber)", irql=HIGH_LEVEL)
def KeQueryMaximumProcessorCountEx(k: Kernel, GroupNumber: int) -> int:
    """WDK: "KeQueryMaximumProcessorCountEx function (wdm.h)"."""
    return _count(k, GroupNumber)


@export("USHORT KeQueryActiveGroupCount(VOID)", irql=HIGH_LEVEL)
def KeQueryActiveGroupCount(k: Kernel) -> int:
    """WDK: "KeQueryActiveGroupCount function (wdm.h)": 1."""
    return 1


@export("USHORT KeQueryMaximumGroupCount(VOID)", irql=HIGH_LEVEL)
def KeQueryMaximumGroupCount(k: Kernel) -> int:
    """WDK: "KeQueryMaximumGroupCount function (wdm.h)": 1."""
    return 1


@export("KAFFINITY KeQueryGroupAffinity(USHORT GroupNumber)", irql=HIGH_LEVEL)
def KeQueryGroupAffinity(k: Kernel, GroupNumber: int) -> int:
    """WDK: "KeQueryGroupAffinity function (wdm.h)"."""
    return 0 if GroupNumber else k.scheduler.all_processors


export_data("KeNumberProcessors", lambda k: len(k.scheduler.processors).to_bytes(4, "little"),
            doc="The number of processors.")  # fmt: skip


# -- who a thread is ------------------------------------------------------------------------------


@export("BOOLEAN PsIsSystemThread(PETHREAD Thread)", irql=HIGH_LEVEL)
def PsIsSystemThread(k: Kernel, Thread: int) -> bool:
    """WDK: "PsIsSystemThread function (ntifs.h)": of the system process."""
    return _thread(k, Thread).process is k.ps.system


@export("BOOLEAN IoIsSystemThread(PETHREAD Thread)", irql=DISPATCH_LEVEL)
def IoIsSystemThread(k: Kernel, Thread: int) -> bool:
    """WDK: "IoIsSystemThread function (ntddk.h)"."""
    return _thread(k, Thread).process is k.ps.system


# -- stacks ---------------------------------------------------------------------------------------


def _expand(k: Kernel, callout: int, parameter: int, size: int) -> int | Steps:
    if size > _LARGEST_EXPANSION:
        return const("STATUS_INVALID_PARAMETER_3")
    return _call_out(k, callout, parameter, size)


def _call_out(k: Kernel, callout: int, parameter: int, size: int) -> Steps:
    flow = k.flow
    pages = grow_stack(k, flow, flow.trap_rsp, size + _SPARE)
    yield Call(callout, (parameter,))
    shrink_stack(k, flow, pages)
    return 0


@export(
    "NTSTATUS KeExpandKernelStackAndCallout(PEXPAND_STACK_CALLOUT Callout, PVOID Parameter, "
    "SIZE_T Size)",
    irql=APC_LEVEL,
    simplified="the stack grows in place instead of being switched to another",
)
def KeExpandKernelStackAndCallout(
    k: Kernel, Callout: int, Parameter: int, Size: int
) -> int | Steps:
    """WDK: "KeExpandKernelStackAndCallout function (ntddk.h)": Size in bytes."""
    return _expand(k, Callout, Parameter, Size)


@export(
    "NTSTATUS KeExpandKernelStackAndCalloutEx(PEXPAND_STACK_CALLOUT Callout, PVOID Parameter, "
    "SIZE_T Size, BOOLEAN Wait, PVOID Context)",
    irql=DISPATCH_LEVEL,
    simplified="the stack grows in place instead of being switched to another",
)
def KeExpandKernelStackAndCalloutEx(
    k: Kernel, Callout: int, Parameter: int, Size: int, Wait: int, Context: int
) -> int | Steps:
    """WDK: "KeExpandKernelStackAndCalloutEx function (ntddk.h)": Context is NULL."""
    if Context:
        return const("STATUS_INVALID_PARAMETER_5")
    return _expand(k, Callout, Parameter, Size)
