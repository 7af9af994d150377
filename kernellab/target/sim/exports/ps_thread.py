"""System threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import Exit, Steps
from ..kernel.ob import CURRENT_PROCESS
from ..kernel.process import Process, PspSystemThread, exit_thread
from ..kernel.structs import Struct, const
from .registry import HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("PKTHREAD KeGetCurrentThread(VOID)", irql=HIGH_LEVEL)
def KeGetCurrentThread(k: Kernel) -> int:
    """WDK: "KeGetCurrentThread function (ntifs.h)"."""
    return k.thread.object


@export("PETHREAD PsGetCurrentThread(VOID)", irql=HIGH_LEVEL)
def PsGetCurrentThread(k: Kernel) -> int:
    """WDK: "PsGetCurrentThread function (ntddk.h)"."""
    return k.thread.object


@export(
    "NTSTATUS PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle, PCLIENT_ID ClientId, "
    "PKSTART_ROUTINE StartRoutine, PVOID StartContext)",
    irql=PASSIVE_LEVEL,
)
def PsCreateSystemThread(
    k: Kernel,
    ThreadHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    ProcessHandle: int,
    ClientId: int,
    StartRoutine: int,
    StartContext: int,
) -> int:
    """WDK: "PsCreateSystemThread function (wdm.h)". In the system process unless one is named."""
    process = k.ps.system
    if ProcessHandle == CURRENT_PROCESS:
        process = k.thread.process
    elif ProcessHandle:
        entry = k.ob.find(ProcessHandle, k.thread.process.pid)
        if entry is None:
            return const("STATUS_INVALID_HANDLE")
        if not isinstance(entry.object.payload, Process):
            return const("STATUS_OBJECT_TYPE_MISMATCH")
        process = entry.object.payload
    owner = k.caller()
    thread = k.ps.create_thread(process, owner)
    kernel = bool(
        ObjectAttributes
        and Struct(k.memory, "OBJECT_ATTRIBUTES", ObjectAttributes)["Attributes"]
        & const("OBJ_KERNEL_HANDLE")
    )
    handle = k.ob.open(
        k.ob.get(thread.object), k.thread.process.pid, DesiredAccess, owner, kernel=kernel
    )
    k.memory.set_u64(ThreadHandle, handle)
    if ClientId:
        k.memory.set_u64(ClientId, process.pid)
        k.memory.set_u64(ClientId + 8, thread.id)
    k.tell("thread-created", thread)
    k.ps.start(thread, PspSystemThread(k, StartRoutine, StartContext), "PspSystemThreadStartup")
    return 0


@export("NTSTATUS PsTerminateSystemThread(NTSTATUS ExitStatus)", irql=PASSIVE_LEVEL)
def PsTerminateSystemThread(k: Kernel, ExitStatus: int) -> int | Steps:
    """WDK: "PsTerminateSystemThread function (wdm.h)". Fails on what is no system thread."""
    if not k.thread.system or k.thread is k.ps.loader:
        return const("STATUS_INVALID_PARAMETER")
    if k.thread.object in k.workers.running:
        raise BugCheck(
            *("ACTIVE_EX_WORKER_THREAD_TERMINATION", k.thread.object),
            message="A work item's routine ended the system worker thread that it runs on.",
        )
    exit_thread(k)
    return _terminate(ExitStatus)


def _terminate(status: int) -> Steps:
    yield Exit(status)


@export("HANDLE PsGetThreadId(PETHREAD Thread)", irql=HIGH_LEVEL)
def PsGetThreadId(k: Kernel, Thread: int) -> int:
    """WDK: "PsGetThreadId function (ntddk.h)"."""
    thread = k.ps.thread_objects.get(Thread)
    if thread is None:
        k.ob.get(Thread)
        return 0
    return thread.id
