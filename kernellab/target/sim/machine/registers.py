"""The general registers by their lower-case names."""

from __future__ import annotations

from typing import Final

from unicorn import x86_const as x86

REGISTERS: Final = {
    name: getattr(x86, f"UC_X86_REG_{name.upper()}")
    for name in (
        *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
    )
}
