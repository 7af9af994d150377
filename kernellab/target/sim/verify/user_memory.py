"""Pointers that a program gave: checked before they are used, and what they point to read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..kernel.execution import Context
from ..kernel.structs import Struct, place
from .base import Rule, Verifier, listens
from .user_code import guarded, one_copy

if TYPE_CHECKING:
    from ..kernel.mdl import Lock
    from ..kernel.user_access import UserAccess

_BYTE_COUNT: Final = place("MDL", "ByteCount")[0]
#: Accesses of up to so many bytes are kept byte by byte.
_SMALL: Final = 32


@dataclass(slots=True)
class _Probe:
    """A range that was probed or locked; ``service`` is None for what lasts."""

    start: int
    end: int
    service: tuple[int, int] | None


class UserPointerUnprobed(Rule):
    """A program can pass the address of anything: only a probe tells that it is the program's."""

    name = "user-pointer-unprobed"
    summary = "a driver used a program's address without ProbeForRead or ProbeForWrite"
    page = "Windows drivers: Errors in Referencing User-Space Addresses"

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._probes: dict[int, list[_Probe]] = {}
        self._service = (0, 0)
        #: Instructions that were reported, and since which service.
        self._seen: set[tuple[str, int]] = set()
        self.k.user_accesses.begin()

    @listens("user-probed")
    def _probed(self, address: int, size: int, _write: bool) -> None:
        self._add(address, size)

    @listens("user-allocated")
    def _allocated(self, address: int, size: int) -> None:
        """The driver has the address from the kernel."""
        self._known().append(_Probe(address, address + size, None))

    @listens("mdl-locked")
    def _locked(self, lock: Lock) -> None:
        if lock.process is self.k.thread.current_process:
            size = self.k.memory.u32(lock.mdl + _BYTE_COUNT)
            self._add(self.k.mdl.address(lock.mdl), size)

    def _known(self) -> list[_Probe]:
        return self._probes.setdefault(self.k.thread.current_process.pid, [])

    def _add(self, address: int, size: int) -> None:
        self._renew()
        self._known().append(_Probe(address, address + size, self._service))

    def _renew(self) -> None:
        """At a system service's begin, probes of earlier ones are over unless one is pending."""
        service = self.k.user_accesses.service
        if service == self._service:
            return
        self._service = service
        if len([irp for irp in self.k.irps.live.values() if irp.request is not None]) > 1:
            return
        for pid, probes in self._probes.items():
            self._probes[pid] = [p for p in probes if p.service in (None, service)]

    @listens("user-access")
    def _accessed(self, access: UserAccess) -> None:
        self._renew()
        start, end = access.address, access.end
        # A range that is probed in part is let pass: it cannot reach into the kernel.
        if any(p.start < end and start < p.end for p in self._known()):
            return
        key = (access.driver, access.code)
        if key in self._seen or self._is_locked(access) or self._probes_by_hand(access.driver):
            return
        self._seen.add(key)
        does, probe = ("writes", "Write") if access.write else ("reads", "Read")
        by = f" by {access.export}" if access.export else ""
        context = self.k.user_accesses.context(access)
        caught = "" if guarded(self.k, access, context) else (
            "; no __except is around it either: an address that is not mapped is a bug check"
        )  # fmt: skip
        self.report(
            f"the driver {does} user memory{by} at an address that nothing has checked: a program "
            f"can pass one of the kernel. ProbeFor{probe} or MmProbeAndLockPages comes "
            f"first{caught}",
            access.driver,
            context=context,
        )

    @listens("driver-loaded")
    def _loaded(self, driver: object) -> None:
        name = getattr(driver, "name", "")
        self._seen = {key for key in self._seen if key[0] != name}

    def _is_locked(self, access: UserAccess) -> bool:
        """Whether it is of pages that are locked, or that a driver mapped there itself."""
        mdl = self.k.mdl
        region = self.k.ps.client.vm.find(access.address)
        if region is not None and region.kind != "private":
            return True
        for lock in mdl.locked_by(self.k.thread.current_process):
            start = mdl.address(lock.mdl)
            end = start + Struct(self.k.memory, "MDL", lock.mdl)["ByteCount"]
            if start < access.end and access.address < end:
                return True
        return False

    def _probes_by_hand(self, driver: str) -> bool:
        """Whether it has the limit of user addresses, to compare with."""
        record = self.k.drivers.get(driver)
        return record is not None and record.knows_limit


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A first read, and where that was."""

    access: UserAccess
    context: Context | None


@dataclass(slots=True)
class _Service:
    """What one system service has read."""

    number: int
    bytes: dict[int, _Fetch] = field(default_factory=dict)
    blocks: list[_Fetch] = field(default_factory=list)
    #: What it wrote itself: bytes, and blocks from one address to another.
    own: set[int] = field(default_factory=set)
    own_blocks: list[tuple[int, int]] = field(default_factory=list)
    #: The call stack of each place that read something first.
    contexts: dict[tuple[int, int], Context] = field(default_factory=dict)
    #: Pairs of places that were compared, and found right or reported.
    done: set[tuple[int, int, int, int]] = field(default_factory=set)


class UserDoubleFetch(Rule):
    """Between two reads the program can change what is read: the second was never checked."""

    name = "user-double-fetch"
    summary = "a driver read the same bytes of user memory twice in one request"
    page = "Windows drivers: Errors in Referencing User-Space Addresses; CWE-367"

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        self._services: dict[int, _Service] = {}
        self.k.user_accesses.begin()

    @listens("user-access")
    def _accessed(self, access: UserAccess) -> None:
        thread, number = self.k.user_accesses.service
        service = self._services.get(thread)
        if service is None or service.number != number:
            service = self._services[thread] = _Service(number)
        if access.write:
            self._written(service, access)
            return
        self._compare(service, access)
        self._keep(service, access)

    def _written(self, service: _Service, access: UserAccess) -> None:
        """What the driver itself wrote it may read, and read again."""
        start, end = access.address, access.end
        kept = service.bytes
        if access.size <= _SMALL:
            service.own.update(range(start, end))
            for at in range(start, end):
                kept.pop(at, None)
        else:
            service.own_blocks.append((start, end))
            service.bytes = {at: f for at, f in kept.items() if not start <= at < end}
        service.blocks = [
            f for f in service.blocks if not (f.access.address < end and start < f.access.end)
        ]

    def _keep(self, service: _Service, access: UserAccess) -> None:
        place = (access.code, access.caller)
        if place not in service.contexts:
            service.contexts[place] = self.k.user_accesses.context(access)
        fetch = _Fetch(access, service.contexts[place])
        start, end = access.address, access.end
        if any(first < end and start < last for first, last in service.own_blocks):
            return
        if access.size <= _SMALL:
            for at in range(start, end):
                if at not in service.own:
                    service.bytes.setdefault(at, fetch)
        elif not any(start <= at < end for at in service.own):
            service.blocks.append(fetch)

    def _compare(self, service: _Service, access: UserAccess) -> None:
        start, end = access.address, access.end
        kept = service.bytes
        if access.size <= len(kept):
            found = {id(f): f for at in range(start, end) if (f := kept.get(at))}
        else:
            found = {id(f): f for at, f in kept.items() if start <= at < end}
        earlier = [*found.values()]
        earlier += [f for f in service.blocks if f.access.address < end and start < f.access.end]
        for fetch in earlier:
            first = fetch.access
            pair = (first.code, first.caller, access.code, access.caller)
            if pair[:2] == pair[2:] or first.driver != access.driver or pair in service.done:
                continue
            same = first.frame == access.frame and first.caller == access.caller
            if same and not first.export and not access.export:
                within = start <= first.address and first.end <= end
                if not within and not (first.address <= start and end <= first.end):
                    continue
                if one_copy(self.k, first.code, access.code):
                    continue
            service.done.add(pair)
            self._found(fetch, access)
            return

    def _found(self, fetch: _Fetch, access: UserAccess) -> None:
        first = fetch.access
        count = min(first.end, access.end) - max(first.address, access.address)
        what = "1 byte" if count == 1 else f"{count} bytes"
        self.report(
            f"{what} of user memory {'are' if count > 1 else 'is'} read that were read before in "
            "this request: a program can change them in between, and what was checked is not what "
            "is used. Read once, into the driver's own memory",
            access.driver,
            context=self.k.user_accesses.context(access),
            related=[("first read here", fetch.context)],
        )
