"""Processes and threads of the simulated machine.

EPROCESS and ETHREAD are opaque to drivers; they begin with a dispatcher header, so that they can be
waited for. Process and thread identifiers are multiples of 4 from one counter, as NT's are; 4 is
the system process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE
from . import ps_notify
from .bugcheck import BugCheck
from .execution import Activity, Call, Flow, Wait
from .locks import EndWait, park
from .ob import Object
from .structs import Struct
from .thread import ETHREAD_SIZE, Thread
from .uservm import UserMemory

if TYPE_CHECKING:
    from ..machine.memory import AddressSpace
    from .kernel import Kernel

_EPROCESS_SIZE: Final = 0xB80
# KOBJECTS in the type byte of a dispatcher header.
_PROCESS_OBJECT, _THREAD_OBJECT = 3, 6


class PspSystemThread:
    """A system thread's life: its start routine, then its end. Can be copied (snapshots)."""

    __slots__ = ("_calls", "_k", "_started", "_value")

    def __init__(self, k: Kernel, routine: int, context: int) -> None:
        self._k = k
        self._calls = [Call(routine, (context,))]
        self._started = False
        self._value: int | None = None

    def send(self, value: int | None) -> Call:
        if not self._started:
            self._started = True
        elif self._value is None:
            # Returning from the start routine ends the thread too, of which drivers are told.
            self._value = value or 0
            exit_thread(self._k)
            self._calls = exit_calls(self._k)
        if not self._calls:
            raise StopIteration(self._value)
        return self._calls.pop(0)


def exit_calls(k: Kernel) -> list[Call]:
    """The calls that tell drivers that the current thread ends."""
    thread = k.ps.current
    arguments = (thread.process.pid, thread.id, 0)
    return [Call(r.routine, arguments) for r in ps_notify.thread_calls(k, thread)]


def exit_thread(k: Kernel) -> None:
    """What a thread may not have any more when it ends, checked in its own context.

    Bug checks 0x4000008A for a mutex and 0x20 for APCs that are still disabled.
    """
    thread = k.ps.current
    k.dispatcher.abandon(thread)
    if thread.apc_disable or thread.special_apc_disable:
        count = -thread.apc_disable & 0xFFFF | (-thread.special_apc_disable & 0xFFFF) << 16
        raise BugCheck(
            *("KERNEL_APC_PENDING_DURING_EXIT", 0, count, k.cpu.irql),
            message="A thread ended inside a critical or guarded region: a call to leave it is "
            "missing.",
        )


class Process:
    """A process: its address space and threads. ``object`` is the address of its EPROCESS."""

    def __init__(self, pid: int, name: str, obj: int, space: AddressSpace, vm: UserMemory) -> None:
        self.pid = pid
        #: The image's file name, such as ``notepad.exe``.
        self.name = name
        self.object = obj
        self.space = space
        #: Its user-mode memory: ``vm.allocate(size)``, ``vm.read``, ``vm.write`` and so on.
        self.vm = vm
        self.threads: list[Thread] = []
        #: The identifier of the process that made it, or that it was made in the name of.
        self.parent = 0
        #: Its image file, as the kernel calls it and as it was opened; its command line.
        self.image = self.opened_as = name
        self.command_line = ""
        #: Images in its memory by their base.
        self.images: dict[int, str] = {}
        #: System times, units of 100 ns since 1601.
        self.created = self.exit_time = 0
        self.exited = False
        self.exit_status = 0
        #: Whether all of its end is done: its object is signalled then.
        self.finished = False


class ProcessManager:
    """All processes and threads, and the threads that requests run on."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._next_id = 4
        self.processes: dict[int, Process] = {}
        self.threads: dict[int, Thread] = {}
        #: Threads by the address of their ETHREAD, processes by that of their EPROCESS.
        self.thread_objects: dict[int, Thread] = {}
        self.process_objects: dict[int, Process] = {}
        #: Drivers whose unload waits for threads of IoCreateSystemThread, and what ends the wait.
        self._drains: list[tuple[str, EndWait]] = []
        self.system = self.create_process("System", k.memory.system)
        #: What loads and unloads drivers, and what the client's calls run on.
        self.loader = self.create_thread(self.system)
        self.client = self.create_process("notebook.exe")
        #: The client's threads: more than one where a dispatch routine keeps the first.
        self.client_threads: list[Thread] = []
        self.idle_client_thread()

    def create_process(self, name: str, space: AddressSpace | None = None) -> Process:
        """A process without threads."""
        k = self._k
        obj = k.new_object(_EPROCESS_SIZE)
        space = space or k.memory.new_space()
        process = Process(self._id(), name, obj, space, UserMemory(k.memory, space))
        self._header(obj, _PROCESS_OBJECT)
        process.created = k.boot_time + k.now
        k.ob.insert(Object(obj, "Process", process, on_delete=self._delete_process))
        self.processes[process.pid] = process
        self.process_objects[obj] = process
        return process

    def create_thread(self, process: Process, owner: str = "") -> Thread:
        """A thread that has nothing to run yet; ``owner`` is the driver that made it."""
        k = self._k
        obj = k.new_object(ETHREAD_SIZE)
        thread = Thread(k, self._id(), process, obj, k.new_stack())
        thread.owner = owner
        self._header(obj, _THREAD_OBJECT)
        k.ob.insert(Object(obj, "Thread", thread, owner=owner, on_delete=self._delete_thread))
        process.threads.append(thread)
        self.threads[thread.id] = thread
        self.thread_objects[obj] = thread
        return thread

    def idle_client_thread(self) -> Thread:
        """A thread of the client that has nothing to run."""
        for thread in self.client_threads:
            if thread.ended:
                return thread
        thread = self.create_thread(self.client)
        thread.system = False
        self.client_threads.append(thread)
        return thread

    def start(self, thread: Thread, activity: Activity, name: str) -> None:
        """Let a new or resting thread run ``activity``."""
        thread.start(activity, name)
        self._k.scheduler.make_ready(thread)

    def thread_ended(self, flow: Flow) -> None:
        """Its outermost activity is over. Threads that requests run on rest until the next."""
        assert isinstance(flow, Thread)
        if flow is self.loader or flow in self.client_threads or flow.rests:
            return
        self.remove_thread(flow)

    def remove_thread(self, thread: Thread) -> None:
        """A thread has ended for good: its object is signalled, its stack goes."""
        k = self._k
        del self.threads[thread.id]
        thread.process.threads.remove(thread)
        k.dispatcher.signal(thread.object, 1)
        if k.flow is thread:
            # Nothing may be saved to or read from the stack that goes away.
            thread.current = False
            k.flow = self.loader
        k.memory.unmap(thread.limit, (thread.top - thread.limit) // PAGE)
        k.tell("thread-ended", thread)
        k.ob.dereference(thread.object)
        if thread.io_object:
            k.ob.dereference(thread.io_object)
            for drain in [d for d in self._drains if not self._holds(d[0])]:
                self._drains.remove(drain)
                drain[1]()

    def _holds(self, driver: str) -> bool:
        """Whether a thread of IoCreateSystemThread keeps a driver's image in memory."""
        return any(t.io_object and t.owner == driver for t in self.threads.values())

    def drain(self, driver: str) -> Wait | None:
        """Block the current thread until that is over; None where it is."""
        if not self._holds(driver):
            return None
        action = EndWait(self._k)
        self._drains.append((driver, action))
        action.waiting, wait = park(self._k, f"the threads of {driver}")
        return wait

    def _delete_process(self, obj: Object) -> None:
        k = self._k
        process = self.process_objects.pop(obj.address)
        del self.processes[process.pid]
        if process.space is not k.memory.space:
            k.memory.delete_space(process.space)
        k.ob.free(obj)

    def _delete_thread(self, obj: Object) -> None:
        k = self._k
        del self.thread_objects[obj.address]
        k.pool.free(k.pool.live[obj.address])

    @property
    def current(self) -> Thread:
        """The thread that the current processor runs, or that its DPC interrupted."""
        thread = self._k.scheduler.current.thread
        return thread if thread is not None else self.loader

    def _header(self, obj: int, kind: int) -> None:
        header = Struct(self._k.memory, "DISPATCHER_HEADER", obj)
        header["Type"] = kind
        head = header.at("WaitListHead")
        self._k.memory.set_u64(head, head)
        self._k.memory.set_u64(head + 8, head)

    def _id(self) -> int:
        number, self._next_id = self._next_id, self._next_id + 4
        return number


def grow_stack(k: Kernel, flow: Flow, rsp: int, size: int) -> int:
    """See that ``size`` bytes are left below ``rsp``; how many pages that took."""
    missing = size - (rsp - flow.limit)
    pages = max(0, -(-missing // PAGE))
    if pages:
        flow.limit -= pages * PAGE
        k.memory.map(flow.limit, pages)
    return pages


def shrink_stack(k: Kernel, flow: Flow, pages: int) -> None:
    """Undo :func:`grow_stack`."""
    if pages:
        k.memory.unmap(flow.limit, pages)
        flow.limit += pages * PAGE
