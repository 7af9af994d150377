"""System threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import ps_notify
from ..kernel.attributes import handle_target
from ..kernel.bugcheck import BugCheck
from ..kernel.execution import Exit, Steps
from ..kernel.ob import CURRENT_PROCESS
from ..kernel.ob_notify import Asked, open_watched
from ..kernel.process import Process, PspSystemThread, exit_thread
from ..kernel.structs import Struct, const
from .registry import HIGH_LEVEL, PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..kernel.thread import Thread


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
@ntstatus
def PsCreateSystemThread(
    k: Kernel,
    ThreadHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    ProcessHandle: int,
    ClientId: int,
    StartRoutine: int,
    StartContext: int,
) -> Steps:
    """WDK: "PsCreateSystemThread function (wdm.h)". In the system process unless one is named.

    Drivers are told of it, and of the handle's creation.
    """
    thread = _create(k, ProcessHandle)
    yield from _open(k, thread, ThreadHandle, DesiredAccess, ObjectAttributes, ClientId)
    yield from _start(k, thread, StartRoutine, StartContext)
    return 0


@export(
    "NTSTATUS IoCreateSystemThread(PVOID IoObject, PHANDLE ThreadHandle, ULONG DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle, PCLIENT_ID ClientId, "
    "PKSTART_ROUTINE StartRoutine, PVOID StartContext)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def IoCreateSystemThread(
    k: Kernel,
    IoObject: int,
    ThreadHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    ProcessHandle: int,
    ClientId: int,
    StartRoutine: int,
    StartContext: int,
) -> Steps:
    """WDK: "IoCreateSystemThread function (wdm.h)".

    The driver or device object is referenced until the thread ends, so that the driver's image
    stays: an unload calls DriverUnload and then waits for the thread.
    """
    k.ob.get(IoObject)
    thread = _create(k, ProcessHandle)
    k.ob.reference(IoObject)
    thread.io_object = IoObject
    yield from _open(k, thread, ThreadHandle, DesiredAccess, ObjectAttributes, ClientId)
    yield from _start(k, thread, StartRoutine, StartContext)
    return 0


def _create(k: Kernel, process_handle: int) -> Thread:
    """A thread of the calling driver in the process that a handle names, 0 for the system's."""
    process = k.ps.system
    if process_handle == CURRENT_PROCESS:
        process = k.thread.current_process
    elif process_handle:
        payload = handle_target(k, process_handle, "Process").payload
        assert isinstance(payload, Process)
        process = payload
    return k.ps.create_thread(process, k.caller())


def _open(
    k: Kernel, thread: Thread, out: int, access: int, attributes: int, client_id: int
) -> Steps:
    """Write a handle of a new thread to ``out``, and its CLIENT_ID where one is wanted."""
    flags = Struct(k.memory, "OBJECT_ATTRIBUTES", attributes)["Attributes"] if attributes else 0
    kernel = bool(flags & const("OBJ_KERNEL_HANDLE"))
    obj = k.ob.get(thread.object)
    asked = Asked(obj, k.thread.current_process.pid, access, thread.owner, kernel, flags)
    handle = yield from open_watched(k, asked)
    k.memory.set_u64(out, handle)
    if client_id:
        k.memory.set_u64(client_id, thread.process.pid)
        k.memory.set_u64(client_id + 8, thread.id)
    return 0


def _start(k: Kernel, thread: Thread, routine: int, context: int) -> Steps:
    k.tell("thread-created", thread)
    yield from ps_notify.thread_changed(k, thread, created=True)
    k.ps.start(thread, PspSystemThread(k, routine, context), "PspSystemThreadStartup")
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
    return _terminate(k, ExitStatus)


def _terminate(k: Kernel, status: int) -> Steps:
    yield from ps_notify.thread_changed(k, k.thread, created=False)
    yield Exit(status)


@export("HANDLE PsGetThreadId(PETHREAD Thread)", irql=HIGH_LEVEL)
def PsGetThreadId(k: Kernel, Thread: int) -> int:
    """WDK: "PsGetThreadId function (ntddk.h)"."""
    thread = k.ps.thread_objects.get(Thread)
    if thread is None:
        k.ob.get(Thread)
        return 0
    return thread.id
