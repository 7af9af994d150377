"""What the pool finds around an allocation that is freed: bytes that its driver must not write.

The verifier's rules hear of damage first (``pool-damaged``, a :class:`Damage`): one that reports
it lets the machine go on. What no rule takes on has the consequence that it has on Windows, where
a header of 16 bytes lies before each allocation of less than a page and the next one's behind:
"Bug Check 0x19: BAD_POOL_HEADER". For an allocation that asked for special pool
("ExAllocatePoolWithTagPriority function (wdm.h)") it is "Bug Check 0xC1:
SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE
from .bugcheck import BugCheck
from .pool import SLACK

if TYPE_CHECKING:
    from .kernel import Kernel
    from .pool import Allocation

#: POOL_HEADER's size on x64; larger allocations than a page without it have none.
_HEADER: Final = 16
_WITH_HEADER: Final = PAGE - _HEADER

# BAD_POOL_HEADER's first parameter, SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION's last.
_HEADER_CORRUPT, _DATA_BEHIND = 0x20, 0x21
_NEARBY, _BEHIND, _ONE_BIT = 0x23, 0x24, 0x32


@dataclass(slots=True)
class Damage:
    """Bytes outside of an allocation were written.

    ``offset`` is that of the nearest one, negative in front of the allocation.
    """

    allocation: Allocation
    offset: int
    #: A rule has reported it.
    reported: bool = False


def check(k: Kernel, allocation: Allocation) -> None:
    """Look around an allocation that is being freed. Raises BugCheck for what nobody reports."""
    pool = k.pool
    behind = pool.overrun(allocation)
    if behind is not None:
        _tell(k, Damage(allocation, behind))
    front = pool.underrun(allocation)
    if front is not None:
        _tell(k, Damage(allocation, -front))


def _tell(k: Kernel, damage: Damage) -> None:
    k.tell("pool-damaged", damage)
    if damage.reported:
        return
    allocation = damage.allocation
    what = f"{allocation.size} bytes of pool with tag '{allocation.tag_text}'"
    if damage.offset < 0:
        count = -damage.offset
        where = f"{count} {'byte' if count == 1 else 'bytes'} before the beginning of {what}"
    else:
        where = f"offset {damage.offset} of {what}, which is behind their end"
    message = f"The driver had written {where}: found when the allocation was freed."
    if allocation.special:
        raise _special(k, damage, message)
    found = _ordinary(k, damage, message)
    if found is not None:
        raise found


def _ordinary(k: Kernel, damage: Damage, message: str) -> BugCheck | None:
    """0x19; None where what was written is neither behind the data nor in a header."""
    allocation, offset = damage.allocation, damage.offset
    address, size = allocation.address, allocation.size
    rounded = max(_HEADER, -(-size // _HEADER) * _HEADER)
    small = size <= _WITH_HEADER
    if offset >= 0 and not (small and offset >= rounded):
        value = _byte(k, address + offset)
        return BugCheck("BAD_POOL_HEADER", _DATA_BEHIND, address, size, value, message=message)
    if not small or not -_HEADER <= offset < rounded + _HEADER:
        return None  # another allocation's data, on Windows
    entry, following = address - _HEADER, address + rounded
    return BugCheck("BAD_POOL_HEADER", _HEADER_CORRUPT, entry, following, message=message)


def _special(k: Kernel, damage: Damage, message: str) -> BugCheck:
    address = damage.allocation.address
    at = address + damage.offset
    changed = _byte(k, at) ^ SLACK
    kind = _BEHIND if damage.offset >= 0 else _NEARBY
    if changed.bit_count() == 1:
        kind = _ONE_BIT
    name = "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION"
    return BugCheck(name, address, at, 0, kind, message=message)


def _byte(k: Kernel, address: int) -> int:
    # From physical memory: paged pool may be out of reach.
    return k.memory.ram[k.memory.pages[address // PAGE].physical + address % PAGE]
