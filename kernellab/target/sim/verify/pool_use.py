"""How pool is asked for: tags, sizes, executable memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.pool import Allocation

_DEFAULT_TAGS: Final = frozenset(int.from_bytes(t, "little") for t in (b"None", b"Wdm ", b" kdD"))


class PoolTag(Rule):
    """Tools find whose memory it is by its tag."""

    name = "pool-tag"
    summary = "pool was allocated without a tag of the driver's own"
    page = 'WDK: "ExAllocatePoolWithTag function (wdm.h)"'

    @listens("pool-allocated")
    def _allocated(self, allocation: Allocation) -> None:
        size = allocation.size
        if not allocation.tag:
            self.report(f"{size} bytes of pool were allocated with the tag 0: choose four letters")
        elif allocation.tag in _DEFAULT_TAGS:
            self.report(
                f"{size} bytes of pool were allocated with the default tag "
                f"'{allocation.tag_text}': choose one of the driver's own"
            )


class PoolZeroSize(Rule):
    """Driver Verifier calls it bug check 0xC4, 0x0."""

    name = "pool-zero-size"
    summary = "an allocation of 0 bytes was asked for"
    page = "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION, 0x00"

    @listens("empty-pool-allocated")
    def _allocated(self, _allocation: Allocation) -> None:
        self.report("pool of 0 bytes was allocated: a length was probably computed wrongly")


class PoolExecutable(Rule):
    """Memory that can be written and executed is what exploits look for."""

    name = "pool-executable"
    summary = "executable pool was allocated: NonPagedPoolNx is not"
    page = "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION, 0x2000"

    @listens("executable-pool-allocated")
    def _allocated(self, allocation: Allocation) -> None:
        self.report(
            f"{allocation.size} bytes of executable pool with tag '{allocation.tag_text}' were "
            "allocated: use NonPagedPoolNx, or ExAllocatePool2 with POOL_FLAG_NON_PAGED"
        )
