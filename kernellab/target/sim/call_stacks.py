"""Call stacks of drivers' calls, quickly: for each call that a trace records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .machine.memory import MemoryFault
from .machine.unwind import frame_size, module_at

if TYPE_CHECKING:
    from .kernel.kernel import Kernel

#: How many frames of a driver's are kept.
_FRAMES: Final = 12


class CallStacks:
    """Each stack that was seen, by number: the return addresses in drivers, innermost first."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._numbers: dict[tuple[int, ...], int] = {}
        #: Bytes of a frame by the return address into it; less than 0 outside of drivers.
        self._sizes: dict[int, int] = {}

    def of(self, rsp: int) -> int:
        """The number of the stack whose innermost return address is at ``rsp``.

        It reads nothing but return addresses: how far apart they are, the function tables say.
        """
        u64, sizes, at = self._k.memory.u64, self._sizes, rsp
        found: list[int] = []
        try:
            while len(found) < _FRAMES:
                address = u64(at)
                size = sizes.get(address)
                if size is None:
                    size = sizes[address] = self._size(address)
                if size < 0:
                    break
                found.append(address)
                at += 8 + size
        except MemoryFault:
            pass  # a damaged stack: what was found
        return self._numbers.setdefault(tuple(found), len(self._numbers))

    def _size(self, address: int) -> int:
        k = self._k
        module = module_at(k.modules, address)
        return -1 if module is None or k.in_kernel(address) else frame_size(module, address)

    def forget_code(self) -> None:
        """Other drivers may be where some were."""
        self._sizes.clear()

    def all(self) -> list[list[int]]:
        """All of them in the order of their numbers."""
        return [list(stack) for stack in self._numbers]
