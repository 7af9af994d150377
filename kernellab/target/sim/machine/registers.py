"""The registers by their lower-case names, and quick access to the general ones."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from unicorn import UC_HOOK_INSN as _HOOK
from unicorn import x86_const as x86

_library: Any = None
_SYSCALL_HOOK: Any = None
try:
    from unicorn.unicorn_py3.arch.intel import HOOK_INSN_SYSCALL_CFUNC as _SYSCALL_HOOK
    from unicorn.unicorn_py3.unicorn import uclib as _library
except ImportError:
    pass  # a binding that is built differently

REGISTERS: Final = {
    name: getattr(x86, f"UC_X86_REG_{name.upper()}")
    for name in (
        *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
    )
}

#: The vector registers; x64 code expects xmm6 to xmm15 unchanged after a call.
VECTORS: Final = {f"xmm{n}": getattr(x86, f"UC_X86_REG_XMM{n}") for n in range(16)}

#: What an exception's CONTEXT keeps besides the general registers.
OTHERS: Final = {**VECTORS, "eflags": x86.UC_X86_REG_EFLAGS}

#: Those that a function leaves as they were (Microsoft: "x64 calling convention").
PRESERVED: Final = ("rbx", "rbp", "rsi", "rdi", "r12", "r13", "r14", "r15")


def _quick(engine: Any, name: str) -> Callable[..., Any] | None:
    """Unicorn's own function ``uc_reg_…``, without the binding around it; None without one."""
    handle = getattr(engine, "_uch", None)
    function = getattr(_library, f"uc_{name}", None)
    if handle is not None and function is not None:
        return partial(function, handle)
    found: Callable[..., Any] | None = getattr(engine, f"_do_{name}", None)
    return found


class Saved:
    """All registers at one moment; ``root`` and ``gs`` are what CR3 and gs among them are."""

    __slots__ = ("context", "gs", "inside", "root")

    def __init__(self, context: Any, root: int, gs: int) -> None:
        self.context = context
        #: What Unicorn's own functions take.
        self.inside = getattr(context, "context", None)
        self.root = root
        self.gs = gs


def savers(engine: Any) -> tuple[Callable[[Saved], object], Callable[[Saved], object]]:
    """What saves the registers where others were, and what brings them back."""
    save, restore = _quick(engine, "context_save"), _quick(engine, "context_restore")
    if save is None or restore is None or not hasattr(engine.context_save(), "context"):
        update, bring = engine.context_update, engine.context_restore
        return lambda saved: update(saved.context), lambda saved: bring(saved.context)
    return lambda saved: save(saved.inside), lambda saved: restore(saved.inside)


def stopper(engine: Any) -> Callable[[], object]:
    """``emu_stop`` without the binding around it."""
    return _quick(engine, "emu_stop") or engine.emu_stop


def hook_syscall(engine: Any, callback: Callable[[Any, Any], None]) -> None:
    """Call ``callback``, which must not raise, at each ``syscall``.

    The binding's own way there puts two more calls around each.
    """
    add = getattr(engine, "_Uc__do_hook_add", None)
    if add is None or _SYSCALL_HOOK is None:
        engine.hook_add(_HOOK, callback, None, 1, 0, x86.UC_X86_INS_SYSCALL)
    else:
        add(_HOOK, _SYSCALL_HOOK(callback), 1, 0, ctypes.c_int(x86.UC_X86_INS_SYSCALL))


def reader(engine: Any, number: int) -> Callable[[], int]:
    """A function that reads one 64-bit register, several times faster than ``reg_read``.

    Unicorn's Python binding works out the register's class and makes a ctypes object at each
    access; here both are made once.
    """
    quick = _quick(engine, "reg_read")
    if quick is None:
        return lambda: int(engine.reg_read(number))
    cell = ctypes.c_uint64()
    place = ctypes.byref(cell)

    def read() -> int:
        quick(number, place)
        return cell.value

    return read


def writer(engine: Any, number: int) -> Callable[[int], None]:
    """A function that writes one 64-bit register; see :func:`reader`."""
    quick = _quick(engine, "reg_write")
    if quick is None:

        def slow(value: int) -> None:
            engine.reg_write(number, value)

        return slow
    cell = ctypes.c_uint64()
    place = ctypes.byref(cell)

    def write(value: int) -> None:
        cell.value = value
        quick(number, place)

    return write


def renew(engine: Any, fresh: Any) -> None:
    """Keep the registers, and forget all else by way of ``fresh``, a context of the start.

    The engine counts an exception as handled when its handler has been entered, and here none
    ever is. The x87's registers are those of the start as well.
    """
    kept = (*REGISTERS.values(), *OTHERS.values(), x86.UC_X86_REG_GS_BASE, x86.UC_X86_REG_MXCSR)
    values = [engine.reg_read(register) for register in kept]
    engine.context_restore(fresh)
    for register, value in zip(kept, values, strict=True):
        engine.reg_write(register, value)


def drop_counter(engine: Any, nowhere: int) -> None:
    """Have the engine forget that it counted instructions, as it does at its next plain start.

    It looks for all code that it counted in then, and a page fault stays behind where that is not
    mapped any more: :func:`renew` has to follow.
    """
    rip = engine.reg_read(x86.UC_X86_REG_RIP)
    engine.emu_start(nowhere, nowhere)
    engine.reg_write(x86.UC_X86_REG_RIP, rip)


def batch_reader(engine: Any, numbers: Sequence[int]) -> Callable[[], list[int]]:
    """A function that reads several 64-bit registers in one call; see :func:`reader`."""
    quick = _quick(engine, "reg_read_batch")
    if quick is None:
        return lambda: [int(engine.reg_read(number)) for number in numbers]
    count = len(numbers)
    ids, cells, places = _arrays(numbers)

    def read() -> list[int]:
        quick(ids, places, count)
        return list(cells)

    return read


def batch_writer(engine: Any, numbers: Sequence[int]) -> Callable[..., None]:
    """A function that writes several 64-bit registers in one call; see :func:`reader`."""
    quick = _quick(engine, "reg_write_batch")
    if quick is None:

        def slow(*values: int) -> None:
            for number, value in zip(numbers, values, strict=True):
                engine.reg_write(number, value)

        return slow
    count = len(numbers)
    ids, cells, places = _arrays(numbers)

    def write(*values: int) -> None:
        cells[:] = values
        quick(ids, places, count)

    return write


def _arrays(numbers: Sequence[int]) -> tuple[Any, Any, Any]:
    """Register numbers, room for their values, and pointers to each value."""
    count = len(numbers)
    cells = (ctypes.c_uint64 * count)()
    start = ctypes.addressof(cells)
    places = (ctypes.c_void_p * count)(*(start + 8 * n for n in range(count)))
    return (ctypes.c_int * count)(*numbers), cells, places
