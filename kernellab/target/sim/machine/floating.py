"""The processor's floating-point state: x87 and SSE registers with their control words."""

from __future__ import annotations

from typing import Any, Final

from unicorn import x86_const as x86

#: Control words first, then what a fresh state has 0 or nothing of.
_REGISTERS: Final = tuple(
    getattr(x86, f"UC_X86_REG_{name}")
    for name in (
        *("FPCW", "MXCSR", "FPSW", "FPTAG"),
        *(f"FP{n}" for n in range(8)),
        *(f"XMM{n}" for n in range(16)),
    )
)
#: What Windows gives a new thread: double precision, all exceptions masked.
_FRESH: Final = (0x27F, 0x1F80, 0, 0xFFFF)


class FloatingPoint:
    """Access to that state of one CPU."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def save(self) -> tuple[Any, ...]:
        """All of it, the x87 control word first."""
        return tuple(self._engine.reg_read(number) for number in _REGISTERS)

    def restore(self, state: tuple[Any, ...]) -> None:
        """Bring back what :meth:`save` gave."""
        for number, value in zip(_REGISTERS, state, strict=False):
            self._engine.reg_write(number, value)

    def reset(self) -> None:
        """A fresh state; what the registers hold stays."""
        self.restore(_FRESH)
