"""Where pool was allocated and freed: kept for reports, and added to bug checks about pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .listening import add_related, listens, subscribe

if TYPE_CHECKING:
    from ..kernel.bugcheck import BugCheck
    from ..kernel.kernel import Kernel
    from ..kernel.pool import Allocation

#: Bug checks about pool, and which parameter of each is the address.
_ADDRESS: Final = {
    ntdata.bugcheck_code(name): position
    for name, position in (
        ("DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION", 0),
        ("DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL", 0),
        ("PAGE_FAULT_BEYOND_END_OF_ALLOCATION", 0),
        ("PAGE_FAULT_IN_FREED_SPECIAL_POOL", 0),
        ("ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY", 0),
        ("BAD_POOL_HEADER", 1),
        ("SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION", 0),
    )
}
_BAD_POOL_CALLER: Final = ntdata.bugcheck_code("BAD_POOL_CALLER")
_COMPLETED_TWICE: Final = ntdata.bugcheck_code("MULTIPLE_IRP_COMPLETE_REQUESTS")
#: BAD_POOL_CALLER's first parameter for memory that was freed already; the address comes last.
_FREED_ALREADY: Final = 7


class PoolStacks:
    """Keeps the stacks of allocations and frees."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        subscribe(k, self)

    @listens("pool-allocated")
    def _allocated(self, allocation: Allocation) -> None:
        self._k.pool.keep_stack(allocation, self._k.flow.keep())

    @listens("pool-freeing")
    def _freeing(self, allocation: Allocation) -> None:
        self._k.pool.keep_stack_of_free(allocation, self._k.flow.keep())

    @listens("bug-check")
    def _bug_check(self, check: BugCheck) -> None:
        gone = self._k.irps.gone
        if check.code == _COMPLETED_TWICE and check.parameters[0] in gone:
            add_related(check, "completed here before", gone[check.parameters[0]].context)
        position = _ADDRESS.get(check.code)
        if check.code == _BAD_POOL_CALLER:
            position = 3 if check.parameters[0] == _FREED_ALREADY else 1
        if position is None:
            return
        near = self._k.pool.near(check.parameters[position])
        if near is None:
            return
        allocation, freed = near
        made_at, freed_at = self._k.pool.stacks(allocation)
        add_related(check, "allocated here", made_at)
        if freed:
            add_related(check, "freed here", freed_at)
            if allocation.address in gone:
                add_related(check, "the IRP was completed here", gone[allocation.address].context)
