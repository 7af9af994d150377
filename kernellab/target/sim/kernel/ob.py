r"""The object manager: reference counts, names' lifetimes, and handles of each process.

An object lives while references are held or handles are open; its type decides what is done when
the last one goes. A temporary object has its name while handles are open, a permanent one until it
is made temporary. The system process's handle table is the one of kernel handles, whose numbers
have the highest bits set: those work in every process, all others only in their own. WDK pages:
"Managing Kernel Objects", "Object Handles", "Life Cycle of an Object", "ZwMakeTemporaryObject
function (wdm.h)".

What happens is told: ``object-created`` and ``object-deleted`` (the object), ``object-referenced``
and ``object-dereferenced`` (the object, the driver), ``handle-opened`` and ``handle-closed`` (the
handle, the process identifier, the :class:`HandleEntry`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .obtypes import type_of

if TYPE_CHECKING:
    from .execution import Context
    from .kernel import Kernel

_KERNEL_HANDLE: Final = 0xFFFF_FFFF_8000_0000
_SYSTEM: Final = 4
#: Pseudo handles of the current process and thread (ZwCurrentProcess, ZwCurrentThread).
CURRENT_PROCESS: Final = 0xFFFF_FFFF_FFFF_FFFF
CURRENT_THREAD: Final = 0xFFFF_FFFF_FFFF_FFFE


@dataclass(slots=True, eq=False)
class Object:
    """A counted object. ``payload`` is what its type keeps; ``owner`` the driver that made it."""

    address: int
    type: str
    payload: object = None
    name: str = ""
    owner: str = ""
    references: int = 1
    handles: int = 0
    #: References by the driver that took them, to say who forgot one.
    taken: dict[str, int] = field(default_factory=dict)
    on_delete: Callable[[Object], None] | None = None
    #: Called when a process closes its last handle.
    on_close: Callable[[Object], None] | None = None
    #: The directory that its name is in.
    parent: Object | None = None
    #: Whether it was made with OBJ_PERMANENT: its name then keeps one reference.
    permanent: bool = False
    #: Whether one handle to it is all there may be (OBJ_EXCLUSIVE).
    exclusive: bool = False
    #: Where each driver took its last reference, for whoever names the one it forgot.
    contexts: dict[str, Context] = field(default_factory=dict)


@dataclass(slots=True)
class HandleEntry:
    """One handle: what it stands for, what it allows, which driver opened it, and where."""

    object: Object
    access: int
    owner: str
    attributes: int = 0
    context: Context | None = None


class ObjectManager:
    """All counted objects by address, and the handle tables."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.objects: dict[int, Object] = {}
        #: Handles by process identifier; 4, the system process, has the kernel handles, whose
        #: keys are without the high bits.
        self.tables: dict[int, dict[int, HandleEntry]] = {}
        self._next: dict[int, int] = {}

    def insert(self, obj: Object) -> Object:
        """Make an object known. It has one reference, the creator's."""
        self.objects[obj.address] = obj
        self._k.tell("object-created", obj)
        return obj

    def get(self, address: int) -> Object:
        """The object at an address. Bug check where none is: a bad pointer was passed."""
        found = self.objects.get(address)
        if found is None:
            # Reading in front of it faults where Windows' object header would.
            self._k.memory.u64(address)
            raise BugCheck(
                *("REFERENCE_BY_POINTER", 0, address),
                message=f"{address:#x} was used as an object, and none is there: it was deleted, "
                "or never was one.",
            )
        return found

    def reference(self, address: int, who: str = "") -> Object:
        """Take one reference."""
        obj = self.get(address)
        obj.references += 1
        if who:
            obj.taken[who] = obj.taken.get(who, 0) + 1
        self._k.tell("object-referenced", obj, who)
        return obj

    def dereference(self, address: int, who: str = "") -> int:
        """Give one reference back; how many are left. The last one deletes the object."""
        obj = self.get(address)
        if who:
            obj.taken[who] = obj.taken.get(who, 0) - 1
        obj.references -= 1
        if obj.references < 0 or (obj.references == 0 and obj.handles):
            raise BugCheck(
                *("REFERENCE_BY_POINTER", 0, address, 2, obj.references),
                message=f"A reference to the {obj.type.lower()} at {address:#x} was given back "
                "that nobody had taken.",
            )
        self._k.tell("object-dereferenced", obj, who)
        if obj.references == 0:
            self._delete(obj)
        return obj.references

    def _delete(self, obj: Object) -> None:
        k = self._k
        del self.objects[obj.address]
        k.names.remove(obj)
        k.tell("object-deleted", obj)
        if obj.on_delete is not None:
            obj.on_delete(obj)

    def make_temporary(self, obj: Object) -> None:
        """Its name lasts no longer than its handles; gone now where it has none."""
        if obj.permanent:
            obj.permanent = False
            self._check_name(obj)
            self.dereference(obj.address)

    def _check_name(self, obj: Object) -> None:
        if not obj.handles and not obj.permanent:
            self._k.names.remove(obj)

    def free(self, obj: Object) -> None:
        """The ``on_delete`` of an object that is nothing but its memory."""
        k = self._k
        if obj.address in k.pool.live:
            k.pool.free(k.pool.live[obj.address])

    # -- handles --------------------------------------------------------------------------------

    def open(
        self,
        obj: Object,
        pid: int,
        access: int = 0,
        owner: str = "",
        *,
        kernel: bool = False,
        attributes: int = 0,
    ) -> int:
        """A new handle in a process's table, a kernel handle where asked. It holds a reference.

        ``access`` may have generic rights and MAXIMUM_ALLOWED.
        """
        pid = _SYSTEM if kernel else pid
        table = self.tables.setdefault(pid, {})
        number = self._next.get(pid, 4)
        self._next[pid] = number + 4
        handle = number | _KERNEL_HANDLE if kernel else number
        obj.references += 1
        obj.handles += 1
        granted = type_of(obj.type).map(access)
        entry = HandleEntry(obj, granted, owner, attributes)
        table[number] = entry
        self._k.tell("handle-opened", handle, pid, entry)
        return handle

    def find(self, handle: int, pid: int) -> HandleEntry | None:
        """What a handle stands for, seen from a process; kernel handles work in each."""
        pid, number = self._place(handle, pid)
        return self.tables.get(pid, {}).get(number)

    def _place(self, handle: int, pid: int) -> tuple[int, int]:
        """The table that a handle is in, and its key there; the lowest two bits do not count."""
        if self.is_kernel_handle(handle):
            return _SYSTEM, handle & ~_KERNEL_HANDLE & ~3
        return pid, handle & ~3

    def is_kernel_handle(self, handle: int) -> bool:
        """Whether it is a number that kernel handles have."""
        return handle & _KERNEL_HANDLE == _KERNEL_HANDLE

    def close(self, handle: int, pid: int) -> bool:
        """Close a handle; False where it is none."""
        entry = self.find(handle, pid)
        if entry is None:
            return False
        pid, number = self._place(handle, pid)
        del self.tables[pid][number]
        obj = entry.object
        obj.handles -= 1
        self._k.tell("handle-closed", handle, pid, entry)
        if obj.handles == 0:
            if obj.on_close is not None:
                obj.on_close(obj)
            self._check_name(obj)
        self.dereference(obj.address)
        return True

    def close_all(self, pid: int) -> None:
        """Close what a process that ends has left open."""
        for number in list(self.tables.get(pid, ())):
            self.close(number, pid)
        self.tables.pop(pid, None)

    def handles_of(self, driver: str) -> list[tuple[int, int, HandleEntry]]:
        """Handles that a driver opened and did not close: number, process identifier, entry."""
        return [
            (number, pid, entry)
            for pid, table in self.tables.items()
            for number, entry in table.items()
            if entry.owner == driver
        ]

    def references_of(self, driver: str) -> list[tuple[Object, int]]:
        """Objects that a driver took more references to than it gave back, and how many more."""
        return [
            (obj, obj.taken[driver])
            for obj in self.objects.values()
            if obj.taken.get(driver, 0) > 0
        ]
