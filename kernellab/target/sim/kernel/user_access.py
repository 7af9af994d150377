"""What drivers do with user memory while they serve a program's request.

The CPU tells of accesses by the driver's own code (:mod:`..machine.watch`), the memory of those
that exports make on its behalf. What is looked at is a thread of the client in its own address
space: there, user addresses are the program's word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import KERNEL_START
from ..machine.unwind import NAMES, module_at, virtual_unwind
from ..machine.watch import Access

if TYPE_CHECKING:
    from .execution import Context
    from .kernel import Kernel

#: In one system service; from then on it is not watched any more, since each costs time.
_MOST: Final = 100_000
#: Routines whose own accesses are not the driver's: they may meet any address, or decide nothing.
_OTHERS: Final = ("Probe", "Mm", "Dbg", "vDbg", "IofCompleteRequest", "IofCallDriver")
#: Routines that read no more than they are asked to; strings are read in pieces of any size.
_EXACT: Final = re.compile("mem(cpy|move|cmp|set)|Rtl[A-Za-z]*Memory|RtlCopy|Zw|Nt|Io|Ke|Ex|Ob|Ps")


@dataclass(frozen=True, slots=True)
class UserAccess:
    """One access: ``size`` bytes at ``address`` by ``driver``.

    ``code`` is the instruction, or where the call of ``export`` returns to; ``frame`` and
    ``caller`` are where the return address of the routine it is in lies, and what it is.
    """

    address: int
    size: int
    write: bool
    driver: str
    code: int
    frame: int
    caller: int
    export: str = ""

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.size


class UserAccesses:
    """Tells ``user-access`` events, once :meth:`begin` was called."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        #: The system service that is counted: its thread and what number it is; the count.
        self._service = (0, 0)
        self._count = 0
        #: How far above rsp the return address is, by instruction.
        self._offsets: dict[int, int] = {}

    def begin(self) -> None:
        """Watch from now on. Nothing has run on the machine yet."""
        k = self._k
        if not k.cpu.watch.armed and k.cpu.watch.arm(self._by_code):
            k.memory.watch = self._by_export
            k.fresh_context = k.cpu.save()
            k.bus.on("irp-sent", self._sent)

    @property
    def service(self) -> tuple[int, int]:
        """The system service that runs now: its thread, and the how manieth of that."""
        thread = self._k.thread
        return thread.object, thread.started

    def context(self, access: UserAccess) -> Context:
        """The call stack of an access, while it happens."""
        if access.export:
            return self._k.flow.context(trapped=True)
        return self._k.flow.context(trapped=False, rip=access.code)

    def _sent(self, _irp: object) -> None:
        if self._k.cpu.watch.relaxed:
            self._k.cpu.watch.look_again()

    def _wanted(self) -> bool:
        k = self._k
        thread = k.thread
        return (
            k.flow is thread
            and not thread.system
            and thread.attached is None
            and thread.process is k.ps.client
        )

    def _by_code(self, rip: int, accesses: Sequence[Access], registers: dict[str, int]) -> bool:
        k = self._k
        if not self._wanted():
            return False
        if self._service != (service := self.service):
            self._service, self._count = service, 0
        self._count += 1
        if self._count > _MOST:
            return False
        driver = k.driver_at(rip) or k.driver_at(k.flow.callee)
        frame, caller = self._frame(rip, registers)
        for address, size, write in accesses:
            k.tell("user-access", UserAccess(address, size, write, driver, rip, frame, caller))
        return True

    def _frame(self, rip: int, registers: dict[str, int]) -> tuple[int, int]:
        k, rsp = self._k, registers["rsp"]
        offset = self._offsets.get(rip)
        if offset is None:
            found = [registers[name] for name in NAMES[:17]]
            virtual_unwind(found, module_at(k.modules, rip), k.memory.try_read, 0)
            offset = self._offsets[rip] = max(0, found[NAMES.index("rsp")] - 8 - rsp)
        raw = k.memory.try_read(rsp + offset, 8) if rsp >= KERNEL_START else None
        return rsp + offset, int.from_bytes(raw or b"", "little")

    def _by_export(self, address: int, size: int, write: bool) -> None:
        k = self._k
        if not self._wanted() or not k.flow.in_export:
            return
        name = k.routine()
        if name.startswith(_OTHERS):
            return
        if not _EXACT.match(name):
            size = 1
        frame = k.flow.trap_rsp
        caller = k.memory.u64(frame)
        access = UserAccess(address, size, write, k.caller(), caller, frame, caller, name)
        k.tell("user-access", access)
