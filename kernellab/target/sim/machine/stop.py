"""Why guest code came to a stop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Stop(Enum):
    """Why :meth:`.Cpu.run` came back."""

    RETURNED = auto()  # a call made by the host has returned; ``value`` is rax
    DEFERRED = auto()  # a handler answered with something else than a number
    FAULT = auto()  # an exception in guest code
    ASKED = auto()  # :meth:`.Cpu.ask` was called: time ran out, or an interrupt
    HALTED = auto()  # the guest executed hlt
    BUDGET = auto()  # the instruction budget is used up
    YIELDED = auto()  # a handler answered with a number, and the kernel wants the processor
    SLICE = auto()  # as many instructions as were asked for have run, or the IRQL was lowered


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception: its vector, where, and for page faults what was accessed and how."""

    vector: int
    rip: int
    address: int = 0
    access: str = ""
