"""Executive resources (ERESOURCE): shared or exclusive, recursive, with rules about who waits.

WDK: "Introduction to ERESOURCE Routines".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import Wait
from ..kernel.locks import AfterWait, Resource, Waiter, park
from ..kernel.structs import Struct, const, size_of
from .ke_region import KeEnterCriticalRegion, KeLeaveCriticalRegion, apcs_must_be_disabled
from .registry import APC_LEVEL, DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_KIND: Final = "executive resource"
#: What an owner pointer must have set, so that it is no thread's address.
_OWNER_POINTER: Final = 3


class _Acquire(AfterWait):
    """The resource was granted by whoever released it: TRUE."""

    __slots__ = ("_k", "_resource")

    def __init__(self, k: Kernel, resource: int, wait: Wait) -> None:
        super().__init__(wait)
        self._k = k
        self._resource = resource

    def finish(self, value: int) -> int:
        self._k.tell("lock-taken", _KIND, self._resource)
        return 1


@export("NTSTATUS ExInitializeResourceLite(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExInitializeResourceLite(k: Kernel, Resource: int) -> int:
    """WDK: "ExInitializeResourceLite function (wdm.h)"."""
    return _initialize(k, Resource)


def _initialize(k: Kernel, address: int) -> int:
    if address & 7:
        return const("STATUS_DATATYPE_MISALIGNMENT")
    k.memory.write(address, bytes(size_of("ERESOURCE")))
    k.locks.resources[address] = Resource()
    k.tell("lock-initialized", _KIND, address)
    return 0


@export("NTSTATUS ExReinitializeResourceLite(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExReinitializeResourceLite(k: Kernel, Resource: int) -> int:
    """WDK: "ExReinitializeResourceLite function (wdm.h)"."""
    return _initialize(k, Resource)


@export("NTSTATUS ExDeleteResourceLite(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExDeleteResourceLite(k: Kernel, Resource: int) -> int:
    """WDK: "ExDeleteResourceLite function (wdm.h)": of one that nobody holds or waits for."""
    found = _get(k, Resource)
    if found.owners or found.waiters:
        k.tell("lock-held", "an executive resource was deleted that is still held")
    del k.locks.resources[Resource]
    k.tell("lock-deleted", _KIND, Resource)
    return 0


def _get(k: Kernel, address: int) -> Resource:
    found = k.locks.resources.get(address)
    if found is None:
        k.memory.read(address, size_of("ERESOURCE"))  # faults where nothing is
        k.tell(
            "lock-not-initialized",
            "an executive resource was used that was not initialized, or was deleted",
        )
        found = k.locks.resources[address] = Resource()
    return found


def _show(k: Kernel, address: int, resource: Resource) -> None:
    """Keep the structure's own fields true."""
    entry = Struct(k.memory, "ERESOURCE", address)
    owned = const("ResourceOwnedExclusive")
    entry["ActiveCount"] = int(bool(resource.owners))
    entry["ActiveEntries"] = len(resource.owners)
    entry["Flag"] = owned if resource.exclusive else 0
    entry["OwnerEntry.OwnerThread"] = next(iter(resource.owners), 0)
    exclusive = sum(w.exclusive for w in resource.waiters)
    entry["NumberOfExclusiveWaiters"] = exclusive
    entry["NumberOfSharedWaiters"] = len(resource.waiters) - exclusive


def _grant(resource: Resource, thread: int, *, exclusive: bool) -> None:
    resource.owners[thread] = resource.owners.get(thread, 0) + 1
    resource.exclusive = resource.exclusive or exclusive


def _acquire(
    k: Kernel,
    address: int,
    routine: str,
    *,
    wait: int,
    exclusive: bool = False,
    starve: bool = False,
    again: bool = True,
) -> int | _Acquire:
    """``starve``: past exclusive waiters. ``again``: also where this thread has it shared."""
    apcs_must_be_disabled(k, routine)
    resource = _get(k, address)
    thread = k.thread.object
    mine = thread in resource.owners
    if resource.exclusive:
        granted = mine
    elif exclusive:
        granted = not resource.owners
    else:
        granted = starve or (mine and again) or not any(w.exclusive for w in resource.waiters)
    if granted:
        _grant(resource, thread, exclusive=exclusive and not mine)
        _show(k, address, resource)
        k.tell("lock-taken", _KIND, address, None, not wait)
        return 1
    if not wait:
        return 0
    why = f"the executive resource at {address:#x}"
    if mine:
        why += ", which it holds shared itself"
        k.tell(
            "lock-recursive",
            f"{routine} waits for an executive resource that the thread itself holds shared: "
            "release it first",
        )
    waiting, request = park(k, why)
    resource.waiters.append(Waiter(waiting, exclusive))
    Struct(k.memory, "ERESOURCE", address)["ContentionCount"] += 1
    _show(k, address, resource)
    return _Acquire(k, address, request)


def _release(k: Kernel, address: int, owner: int) -> None:
    resource = _get(k, address)
    count = resource.owners.get(owner, 0)
    if not count:
        table = Struct(k.memory, "ERESOURCE", address)["OwnerTable"]
        raise BugCheck(
            *("RESOURCE_NOT_OWNED", address, owner, table),
            message="An executive resource was released by a thread that does not own it.",
        )
    k.tell("lock-released", _KIND, address)
    if count > 1:
        resource.owners[owner] = count - 1
    else:
        del resource.owners[owner]
        if not resource.owners:
            was, resource.exclusive = resource.exclusive, False
            _hand_over(k, resource, shared_first=was)
    _show(k, address, resource)


def _hand_over(k: Kernel, resource: Resource, *, shared_first: bool) -> None:
    """After an exclusive owner all shared waiters, after the last shared one an exclusive one."""
    shared = [w for w in resource.waiters if not w.exclusive]
    exclusive = [w for w in resource.waiters if w.exclusive][:1]
    for waiter in (shared or exclusive) if shared_first else (exclusive or shared):
        resource.waiters.remove(waiter)
        _grant(resource, waiter.thread.object, exclusive=waiter.exclusive)
        k.dispatcher.end(waiter.waiting, 0)


@export("BOOLEAN ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait)",
        irql=APC_LEVEL)  # fmt: skip
def ExAcquireResourceExclusiveLite(k: Kernel, Resource: int, Wait: int) -> int | _Acquire:
    """WDK: "ExAcquireResourceExclusiveLite function (wdm.h)": in a critical region."""
    routine = "ExAcquireResourceExclusiveLite"
    return _acquire(k, Resource, routine, wait=Wait, exclusive=True)


@export("BOOLEAN ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait)", irql=APC_LEVEL)
def ExAcquireResourceSharedLite(k: Kernel, Resource: int, Wait: int) -> int | _Acquire:
    """WDK: "ExAcquireResourceSharedLite function (wdm.h)": behind exclusive waiters."""
    return _acquire(k, Resource, "ExAcquireResourceSharedLite", wait=Wait)


@export("BOOLEAN ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait)",
        irql=APC_LEVEL)  # fmt: skip
def ExAcquireSharedStarveExclusive(k: Kernel, Resource: int, Wait: int) -> int | _Acquire:
    """WDK: "ExAcquireSharedStarveExclusive function (wdm.h)": past exclusive waiters."""
    return _acquire(k, Resource, "ExAcquireSharedStarveExclusive", wait=Wait, starve=True)


@export("BOOLEAN ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait)",
        irql=APC_LEVEL)  # fmt: skip
def ExAcquireSharedWaitForExclusive(k: Kernel, Resource: int, Wait: int) -> int | _Acquire:
    """WDK: "ExAcquireSharedWaitForExclusive function (wdm.h)": even where it has it shared."""
    return _acquire(k, Resource, "ExAcquireSharedWaitForExclusive", wait=Wait, again=False)


@export("VOID ExReleaseResourceLite(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExReleaseResourceLite(k: Kernel, Resource: int) -> None:
    """WDK: "ExReleaseResourceLite function (wdm.h)"; not owned is bug check 0xE3."""
    _release(k, Resource, k.thread.object)


@export("VOID ExReleaseResourceForThreadLite(PERESOURCE Resource, ULONG_PTR ResourceThreadId)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExReleaseResourceForThreadLite(k: Kernel, Resource: int, ResourceThreadId: int) -> None:
    """WDK: "ExReleaseResourceForThreadLite function (wdm.h)"; not owned is bug check 0xE3."""
    _release(k, Resource, ResourceThreadId)


@export("PVOID ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource)",
        irql=APC_LEVEL)  # fmt: skip
def ExEnterCriticalRegionAndAcquireResourceExclusive(k: Kernel, Resource: int) -> int | _Acquire:
    """WDK: "ExEnterCriticalRegionAndAcquireResourceExclusive function (ntddk.h)"."""
    KeEnterCriticalRegion(k)
    routine = "ExEnterCriticalRegionAndAcquireResourceExclusive"
    return _acquire(k, Resource, routine, wait=1, exclusive=True)


@export("PVOID ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource)", irql=APC_LEVEL)
def ExEnterCriticalRegionAndAcquireResourceShared(k: Kernel, Resource: int) -> int | _Acquire:
    """WDK: "ExEnterCriticalRegionAndAcquireResourceShared function (ntddk.h)"."""
    KeEnterCriticalRegion(k)
    routine = "ExEnterCriticalRegionAndAcquireResourceShared"
    return _acquire(k, Resource, routine, wait=1)


@export("VOID ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExReleaseResourceAndLeaveCriticalRegion(k: Kernel, Resource: int) -> None:
    """WDK: "ExReleaseResourceAndLeaveCriticalRegion function (ntddk.h)"."""
    _release(k, Resource, k.thread.object)
    KeLeaveCriticalRegion(k)


@export("VOID ExConvertExclusiveToSharedLite(PERESOURCE Resource)", irql=APC_LEVEL)
def ExConvertExclusiveToSharedLite(k: Kernel, Resource: int) -> None:
    """WDK: "ExConvertExclusiveToSharedLite function (wdm.h)": shared waiters get it too."""
    found = _get(k, Resource)
    if not found.exclusive or k.thread.object not in found.owners:
        k.tell(
            "lock-not-owner",
            "ExConvertExclusiveToSharedLite was called by a thread without exclusive access",
        )
        return
    found.exclusive = False
    if any(not w.exclusive for w in found.waiters):
        _hand_over(k, found, shared_first=True)
    _show(k, Resource, found)


@export("BOOLEAN ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExIsResourceAcquiredExclusiveLite(k: Kernel, Resource: int) -> bool:
    """WDK: "ExIsResourceAcquiredExclusiveLite function (wdm.h)": by this thread."""
    found = _get(k, Resource)
    return found.exclusive and k.thread.object in found.owners


@export("ULONG ExIsResourceAcquiredSharedLite(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExIsResourceAcquiredSharedLite(k: Kernel, Resource: int) -> int:
    """WDK: "ExIsResourceAcquiredSharedLite function (wdm.h)": how often, exclusively too."""
    return _get(k, Resource).owners.get(k.thread.object, 0)


@export("ULONG ExGetExclusiveWaiterCount(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExGetExclusiveWaiterCount(k: Kernel, Resource: int) -> int:
    """WDK: "ExGetExclusiveWaiterCount function (wdm.h)"."""
    return sum(w.exclusive for w in _get(k, Resource).waiters)


@export("ULONG ExGetSharedWaiterCount(PERESOURCE Resource)", irql=DISPATCH_LEVEL)
def ExGetSharedWaiterCount(k: Kernel, Resource: int) -> int:
    """WDK: "ExGetSharedWaiterCount function (wdm.h)"."""
    return sum(not w.exclusive for w in _get(k, Resource).waiters)


@export("VOID ExSetResourceOwnerPointer(PERESOURCE Resource, PVOID OwnerPointer)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExSetResourceOwnerPointer(k: Kernel, Resource: int, OwnerPointer: int) -> None:
    """WDK: "ExSetResourceOwnerPointer function (wdm.h)": from then on released by that pointer."""
    found = _get(k, Resource)
    if OwnerPointer & _OWNER_POINTER != _OWNER_POINTER:
        k.tell(
            "bad-owner-pointer",
            f"ExSetResourceOwnerPointer got {OwnerPointer:#x}: its two lowest bits must be 1",
        )
    count = found.owners.pop(k.thread.object, 0)
    if not count:
        raise BugCheck(
            *("RESOURCE_NOT_OWNED", Resource, k.thread.object),
            message="A thread gave away an executive resource that it does not own.",
        )
    found.owners[OwnerPointer] = found.owners.get(OwnerPointer, 0) + count
    _show(k, Resource, found)
