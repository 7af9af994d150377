"""Arithmetic that compilers do inline today: 64-bit division by multiplying, square roots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import HIGH_LEVEL, export, export_code

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export(
    "LARGE_INTEGER RtlExtendedMagicDivide(LARGE_INTEGER Dividend, ULONGLONG MagicDivisor, "
    "CCHAR ShiftCount)",
    irql=HIGH_LEVEL,
    simplified="an inline function of the WDK's headers on x64",
)
def RtlExtendedMagicDivide(k: Kernel, Dividend: int, MagicDivisor: int, ShiftCount: int) -> int:
    """WDK: "RtlExtendedMagicDivide function (wdm.h)".

    The upper half of the product with a reciprocal, shifted right; the dividend's sign is kept.
    """
    quotient = (abs(Dividend) * MagicDivisor >> 64) >> (ShiftCount & 0x3F)
    return -quotient if Dividend < 0 else quotient


export_code("sqrt", bytes.fromhex("f20f51c0 c3"), doc="double sqrt(double): one SSE2 instruction.")
