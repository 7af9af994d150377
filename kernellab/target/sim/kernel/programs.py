r"""Programs: processes and threads that the client makes, whose own code is not run.

They are what drivers see of programs: identifiers, names, handles, memory, and their beginning and
end with all notifications. The requests of such a process run on its threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from . import ps_notify
from .driver import NtFailure
from .execution import Steps
from .ob_notify import Asked, open_watched

if TYPE_CHECKING:
    from .kernel import Kernel
    from .process import Process
    from .thread import Thread

SYSTEM32: Final = r"\Device\HarddiskVolume1\Windows\System32"
_IMAGE_SIZE: Final = 0x10000


def image_path(name: str) -> str:
    r"""The kernel's path of a program or DLL: ``C:\…`` is on the first volume, else System32."""
    if name[1:3] == ":\\":
        return r"\Device\HarddiskVolume1" + name[2:]
    return name if name.startswith("\\") else f"{SYSTEM32}\\{name}"


def find(k: Kernel, pid: int) -> Process:
    """The running process with an identifier. Raises NtFailure where there is none."""
    process = k.ps.processes.get(pid)
    if process is None or process.exited:
        raise NtFailure("STATUS_INVALID_CID", f"there is no process {pid}")
    return process


def may_end(k: Kernel, process: Process) -> None:
    """Raises NtFailure for the processes that the machine itself needs."""
    if process in (k.ps.system, k.ps.client):
        raise NtFailure("STATUS_ACCESS_DENIED", f"{process.name} cannot be ended")


def PspCreateProcess(  # noqa: N802 - reads as a routine of the kernel in stacks
    k: Kernel, name: str, command_line: str, parent: int
) -> Steps:
    """Make a process with one thread; the value is the :class:`Process`.

    Drivers may refuse: NtFailure with the CreationStatus that they left.
    """
    path = image_path(name)
    process = k.ps.create_process(path.rpartition("\\")[2])
    process.image, process.command_line = path, command_line or name
    process.opened_as = r"\??\C:" + path.removeprefix(r"\Device\HarddiskVolume1")
    process.parent = find(k, parent).pid if parent else k.thread.process.pid
    thread = k.ps.create_thread(process)
    thread.system = False
    thread.rests = True
    status = yield from ps_notify.process_created(k, process, k.thread)
    if not ntdata.nt_success(status):
        yield from PspExitProcess(k, process, status)
        raise NtFailure(
            status, f"a driver refused the creation of {name}: {ntdata.status_name(status)}"
        )
    k.tell("process-created", process)
    yield from ps_notify.thread_changed(k, thread, created=True)
    return process


def PspUserThreadStartup(k: Kernel, process: Process) -> Steps:  # noqa: N802
    """What a new process's first thread does first: its images are loaded in its own context.

    WDK: "PLOAD_IMAGE_NOTIFY_ROUTINE callback function (ntddk.h)".
    """
    for image in (process.image, f"{SYSTEM32}\\ntdll.dll"):
        yield from MmLoadImage(k, process, image, _IMAGE_SIZE)


def MmLoadImage(k: Kernel, process: Process, path: str, size: int) -> Steps:  # noqa: N802
    """Reserve memory for an image in a process and tell of it; the value is its base."""
    base = process.vm.allocate(size, write=False)
    process.images[base] = path
    yield from ps_notify.image_loaded(k, path, process.pid, base, size)
    return base


def PspCreateThread(k: Kernel, process: Process) -> Steps:  # noqa: N802
    """One more thread; the value is the :class:`Thread`."""
    thread = k.ps.create_thread(process)
    thread.system = False
    thread.rests = True
    yield from ps_notify.thread_changed(k, thread, created=True)
    return thread


def PspExitThread(k: Kernel, thread: Thread) -> Steps:  # noqa: N802
    """Tell of a thread's end; it is taken away by :func:`take_away`."""
    yield from ps_notify.thread_changed(k, thread, created=False)


def PspExitProcess(k: Kernel, process: Process, status: int) -> Steps:  # noqa: N802
    """Tell of the end of a process and its threads, and mark it as ended."""
    for thread in list(process.threads):
        yield from ps_notify.thread_changed(k, thread, created=False)
    yield from ps_notify.process_exited(k, process)
    process.exited, process.exit_status = True, status
    process.exit_time = k.boot_time + k.now
    k.tell("process-ended", process)
    for thread in list(process.threads):
        if thread.ended:
            k.ps.remove_thread(thread)
    finish(k, process)
    return 0


def finish(k: Kernel, process: Process) -> None:
    """Once its last thread is gone: handles are closed, who waits for the process goes on."""
    if process.exited and not process.threads and not process.finished:
        process.finished = True
        k.mdl.process_ended(process)
        k.ob.close_all(process.pid)
        k.dispatcher.signal(process.object, 1)
        k.sections.process_ended(process)
        process.vm.clear()
        k.ob.dereference(process.object)


def open_process(k: Kernel, pid: int, access: int) -> Steps:
    """What OpenProcess does in the client: the value is the access that is granted."""
    obj = k.ob.get(find(k, pid).object)
    client = k.thread.process.pid
    handle = yield from open_watched(k, Asked(obj, client, access))
    entry = k.ob.find(handle, client)
    assert entry is not None
    granted = entry.access
    k.ob.close(handle, client)
    return granted


def describe(process: Process) -> dict[str, Any]:
    """A process as the protocol has it."""
    return {
        "pid": process.pid,
        "name": process.name,
        "parent": process.parent,
        "command_line": process.command_line,
        "threads": [thread.id for thread in process.threads],
        "exited": process.exited,
        "exit_status": process.exit_status if process.exited else None,
    }
