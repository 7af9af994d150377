"""Privileges of callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .registry import PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: What an administrator's token has enabled without asking: SeChangeNotify, SeImpersonate,
#: SeCreateGlobal ("Privilege Constants (Authorization)").
_ENABLED: Final = frozenset((23, 29, 30))


@export(
    "BOOLEAN SeSinglePrivilegeCheck(LUID PrivilegeValue, KPROCESSOR_MODE PreviousMode)",
    irql=PASSIVE_LEVEL,
    simplified="each program is an administrator's, and has enabled no privilege that is disabled "
    "at first",
)
def SeSinglePrivilegeCheck(k: Kernel, PrivilegeValue: int, PreviousMode: int) -> bool:
    """WDK: "SeSinglePrivilegeCheck function (ntddk.h)". Kernel mode has every privilege."""
    return not PreviousMode or k.thread.system or PrivilegeValue in _ENABLED
