r"""The object manager: reference counts, and handles of each process.

An object lives while references are held or handles are open; its type decides what is done when
the last one goes. Kernel handles are a table of their own and have the highest bits set, as in NT.
WDK pages: "Managing Kernel Objects", "Object Handles", "Life Cycle of an Object".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck

if TYPE_CHECKING:
    from .kernel import Kernel

_KERNEL_HANDLE: Final = 0xFFFF_FFFF_8000_0000
#: Pseudo handles of the current process and thread (ZwCurrentProcess, ZwCurrentThread).
CURRENT_PROCESS: Final = 0xFFFF_FFFF_FFFF_FFFF
CURRENT_THREAD: Final = 0xFFFF_FFFF_FFFF_FFFE


@dataclass(slots=True)
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


@dataclass(slots=True)
class HandleEntry:
    """One handle: what it stands for, what it allows, which driver opened it."""

    object: Object
    access: int
    owner: str


class ObjectManager:
    """All counted objects by address, and the handle tables."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.objects: dict[int, Object] = {}
        #: Handles by process identifier; 4, the system process, has the kernel handles.
        self.tables: dict[int, dict[int, HandleEntry]] = {}
        self._next: dict[int, int] = {}

    def insert(self, obj: Object) -> Object:
        """Make an object known. It has one reference, the creator's."""
        self.objects[obj.address] = obj
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
        if obj.references == 0:
            del self.objects[address]
            if obj.on_delete is not None:
                obj.on_delete(obj)
        return obj.references

    # -- handles --------------------------------------------------------------------------------

    def open(self, obj: Object, pid: int, access: int = 0, owner: str = "") -> int:
        """A new handle in a process's table. It holds a reference."""
        table = self.tables.setdefault(pid, {})
        number = self._next.get(pid, 4)
        self._next[pid] = number + 4
        handle = number | _KERNEL_HANDLE if pid == 4 else number
        obj.references += 1
        obj.handles += 1
        table[handle] = HandleEntry(obj, access, owner)
        return handle

    def find(self, handle: int, pid: int) -> HandleEntry | None:
        """What a handle stands for, seen from a process; kernel handles work in each."""
        if handle & _KERNEL_HANDLE == _KERNEL_HANDLE:
            pid = 4
        return self.tables.get(pid, {}).get(handle)

    def close(self, handle: int, pid: int) -> bool:
        """Close a handle; False where it is none."""
        entry = self.find(handle, pid)
        if entry is None:
            return False
        if handle & _KERNEL_HANDLE == _KERNEL_HANDLE:
            pid = 4
        del self.tables[pid][handle]
        entry.object.handles -= 1
        if entry.object.handles == 0 and entry.object.on_close is not None:
            entry.object.on_close(entry.object)
        self.dereference(entry.object.address)
        return True
