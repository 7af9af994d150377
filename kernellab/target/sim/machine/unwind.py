"""Walking x64 call stacks by the function tables (``.pdata``, ``.xdata``) of images.

Microsoft's page "x64 exception handling" defines the data; the order of work is that of
RtlVirtualUnwind: a fault in a prologue undoes only what has run, one in an epilogue is
carried to its end by reading the instructions, anything else undoes the whole prologue.

Registers come as a mapping with the keys of :data:`REGISTERS` and ``rip``. Memory comes
through a function ``read(address, size)`` that answers None where it cannot read: garbage
ends the walk, it never raises and never loops.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .function_table import Function as Function
from .function_table import ModuleImage as ModuleImage

#: General registers in the order in which instructions and unwind codes number them.
REGISTERS: Final = tuple("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split())

#: What a list of registers holds: these, rip, and where vectors are wanted xmm6 to xmm15.
NAMES: Final = (*REGISTERS, "rip", *(f"xmm{n}" for n in range(6, 16)))

#: UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER: for exceptions, for unwinding.
EXCEPTION_HANDLER, UNWIND_HANDLER = 1, 2

#: Most frames that a walk reports.
MAX_FRAMES: Final = 64

Read = Callable[[int, int], bytes | None]
Beyond = Callable[[dict[str, int]], Mapping[str, int] | None]

_RSP, _RIP = 4, 16
_MASK = (1 << 64) - 1
#: Most entries that one function is chained through.
_CHAIN = 32
# Slots of each operation after its first; 6 and 7 are the old XMM saves, in version 2 the
# description of epilogues (which :func:`_epilogue` reads from the code itself).
_EXTRA: Final = {0: 0, 2: 0, 3: 0, 4: 1, 5: 2, 6: 1, 7: 2, 8: 1, 9: 2, 10: 0}


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame, innermost first in a list. ``module`` is empty outside of all modules.

    ``stack`` is rsp in that frame. ``is_return``: ``address`` is where a call returns to, so
    that the call's own line is found at ``rva - 1`` (:attr:`symbol_rva`).
    """

    address: int
    module: str
    rva: int
    stack: int = 0
    is_return: bool = False

    @property
    def symbol_rva(self) -> int:
        """The RVA by which to look up function and line."""
        return self.rva - 1 if self.is_return and self.rva else self.rva


@dataclass(frozen=True, slots=True)
class Handler:
    """A frame as its language handler is told of it: RVAs of the handler and of its data.

    ``establisher`` is the frame's fixed base; ``handler`` is 0 where the frame has none that is
    to be called.
    """

    establisher: int
    handler: int = 0
    data: int = 0


def frame_size(module: ModuleImage, address: int) -> int:
    """Bytes from rsp behind a call that returns to ``address`` to the caller's return address.

    For a function without an ``alloca`` of its own; 0 for one that has no unwind data.
    """
    function, image, size = module.find_function(address - module.base), module.image, 0
    at = function.unwind if function is not None else len(image)
    for _ in range(_CHAIN):
        if len(image) < at + 4:
            break
        first, _prologue, count, _frame = image[at : at + 4]
        raw = image[at + 4 : at + 4 + count * 2]
        codes = struct.unpack(f"<{len(raw) // 2}H", raw[: len(raw) // 2 * 2])
        index = 0
        while index < len(codes):
            operation, info = codes[index] >> 8 & 15, codes[index] >> 12
            slots = _slots(operation, info, first & 7)
            if not slots or index + slots > len(codes):
                return size
            if operation == 0:
                size += 8
            elif operation == 2:
                size += info * 8 + 8
            elif operation == 1 and info == 0:
                size += codes[index + 1] * 8
            elif operation == 1:
                size += codes[index + 1] | codes[index + 2] << 16
            index += slots
        if not first >> 3 & 4:
            break
        place = at + 4 + (count + 1 & ~1) * 2
        at = int.from_bytes(image[place + 8 : place + 12], "little")
    return size


def find_function(module: ModuleImage, rva: int) -> Function | None:
    """The function-table entry of ``module`` that covers ``rva``."""
    return module.find_function(rva)


def unwind(
    context: Mapping[str, int],
    modules: Sequence[ModuleImage],
    read: Read,
    *,
    stack: tuple[int, int] | None = None,
    limit: int = MAX_FRAMES,
    beyond: Beyond | None = None,
) -> list[RawFrame]:
    """The call stack, innermost first; at least the frame of ``rip`` itself.

    The walk ends at a return address outside of all modules (it is not reported), at memory
    that cannot be read, when rsp does not grow or leaves ``stack`` (its lowest address and
    the one after its highest), or after ``limit`` frames. ``beyond`` lets a caller go on where
    a return address lies outside of all modules: it gets the registers there and answers with
    those of the frame to continue from, or None.
    """
    regs = [context.get(name, 0) & _MASK for name in (*REGISTERS, "rip")]
    frames: list[RawFrame] = []
    is_return = False
    while len(frames) < limit:
        rip, rsp = regs[_RIP], regs[_RSP]
        module = module_at(modules, rip)
        if module is None and frames:
            further = beyond(dict(zip((*REGISTERS, "rip"), regs, strict=True))) if beyond else None
            if further is None:
                break
            regs = [further.get(name, 0) & _MASK for name in (*REGISTERS, "rip")]
            module = module_at(modules, regs[_RIP])
            if module is None or regs[_RSP] < rsp:
                break
            # Where an exception happened is no return address.
            rip, rsp, is_return = regs[_RIP], regs[_RSP], not further.get("exact")
        frames.append(
            RawFrame(
                rip,
                module.name if module else "",
                rip - module.base if module else 0,
                rsp,
                is_return,
            )
        )
        if rsp & 7 or (stack and not stack[0] <= rsp < stack[1]):
            break
        switched = _step(regs, module, read)
        if switched is None or (not switched and regs[_RSP] <= rsp):
            break
        is_return = not switched
    return frames


def module_at(modules: Sequence[ModuleImage], address: int) -> ModuleImage | None:
    """The module that ``address`` lies in."""
    return next((m for m in modules if m.base <= address < m.base + m.size), None)


def virtual_unwind(
    regs: list[int], module: ModuleImage | None, read: Read, kind: int
) -> Handler | None:
    """What RtlVirtualUnwind does: change ``regs`` to the caller's, say what handles this frame.

    ``regs`` are in the order of :data:`NAMES`, with or without the vector registers. ``kind``
    chooses which handlers count. A handler is not called for a prologue or epilogue. None
    where the stack cannot be read.
    """
    function = module.find_function(regs[_RIP] - module.base) if module else None
    frame = Handler(regs[_RSP])
    if module is not None and function is not None:
        frame = _handler(regs, module, function, read, kind)
    return frame if _step(regs, module, read) is not None else None


def _handler(
    regs: list[int], module: ModuleImage, function: Function, read: Read, kind: int
) -> Handler:
    image = module.image
    header = image[function.unwind : function.unwind + 4]
    if len(header) < 4:
        return Handler(regs[_RSP])
    offset = regs[_RIP] - module.base - function.begin
    in_body = offset >= header[1]
    register = header[3] & 15
    base = regs[_RSP]
    raw = image[function.unwind + 4 : function.unwind + 4 + header[2] * 2]
    codes = struct.unpack(f"<{header[2]}H", raw.ljust(header[2] * 2, b"\0"))
    if register and (in_body or _frame_is_set(codes, header[0] & 7, offset)):
        base = regs[register] - (header[3] >> 4) * 16 & _MASK
    if not in_body or _epilogue(list(regs), module, function, read) is not None:
        return Handler(base)
    primary = _primary(module, function)
    header = image[primary.unwind : primary.unwind + 4]
    place = primary.unwind + 4 + (header[2] + 1 & ~1) * 2
    if len(image) < place + 4 or header[0] >> 3 & 4 or not header[0] >> 3 & kind:
        return Handler(base)
    return Handler(base, struct.unpack_from("<I", image, place)[0], place + 4)


def _step(regs: list[int], module: ModuleImage | None, read: Read) -> bool | None:
    """Change ``regs`` to those of the caller. True: through a machine frame; None: cannot."""
    function = module.find_function(regs[_RIP] - module.base) if module else None
    if module is None or function is None:
        return None if not _pop(regs, _RIP, read) else False
    if len(module.image) < function.unwind + 4:
        return None
    offset = regs[_RIP] - module.base - function.begin
    if offset >= module.image[function.unwind + 1]:
        after = _epilogue(regs, module, function, read)
        if after is not None:
            regs[:] = after
            return False
    return _undo(regs, module, function, offset, read)


def _undo(
    regs: list[int], module: ModuleImage, function: Function, offset: int, read: Read
) -> bool | None:
    """Undo the prologue of ``function`` and of those it is chained to."""
    image = module.image
    unwind_rva = function.unwind
    for _ in range(_CHAIN):
        if len(image) < unwind_rva + 4:
            return None
        first, prologue, count, frame = image[unwind_rva : unwind_rva + 4]
        version, flags = first & 7, first >> 3
        raw = image[unwind_rva + 4 : unwind_rva + 4 + count * 2]
        if version not in (1, 2) or len(raw) < count * 2:
            return None
        codes = struct.unpack(f"<{count}H", raw)
        done = offset >= prologue
        result = _undo_codes(regs, codes, version, offset if not done else 256, frame, read)
        if result is None or result:
            return result
        if not flags & 4:
            return False if _pop(regs, _RIP, read) else None
        place = unwind_rva + 4 + (count + 1 & ~1) * 2
        entry = image[place : place + 12]
        if len(entry) < 12:
            return None
        _begin, _end, unwind_rva = struct.unpack("<III", entry)
        if unwind_rva & 1:
            return None
        offset = 256  # the prologue of what this is chained to has run
    return None


def _undo_codes(
    regs: list[int], codes: Sequence[int], version: int, offset: int, frame: int, read: Read
) -> bool | None:
    """Undo one array of unwind codes. True: a machine frame was undone, rip is set."""
    register = frame & 15
    base = regs[_RSP]
    if register and (offset > 255 or _frame_is_set(codes, version, offset)):
        base = regs[register] - (frame >> 4) * 16 & _MASK
    index = 0
    while index < len(codes):
        code = codes[index]
        operation, info, where = code >> 8 & 15, code >> 12, code & 0xFF
        size = _slots(operation, info, version)
        operands = codes[index + 1 : index + size]
        if size == 0 or len(operands) != size - 1:
            return None
        index += size
        if where > offset or (version == 2 and operation in (6, 7)):
            continue
        if operation == 0:
            if not _pop(regs, info, read):
                return None
        elif operation == 1:
            amount = operands[0] * 8 if info == 0 else operands[0] | operands[1] << 16
            regs[_RSP] = regs[_RSP] + amount & _MASK
        elif operation == 2:
            regs[_RSP] = regs[_RSP] + info * 8 + 8 & _MASK
        elif operation == 3:
            regs[_RSP] = regs[register] - (frame >> 4) * 16 & _MASK
        elif operation in (4, 5):
            amount = operands[0] * 8 if operation == 4 else operands[0] | operands[1] << 16
            value = _u64(read, base + amount & _MASK)
            if value is None:
                return None
            regs[info] = value
        elif operation in (8, 9) and len(regs) > 17:
            amount = operands[0] * 16 if operation == 8 else operands[0] | operands[1] << 16
            saved = read(base + amount & _MASK, 16)
            if saved is None or len(saved) < 16 or info < 6:
                return None
            regs[11 + info] = int.from_bytes(saved, "little")
        elif operation == 10:
            place = regs[_RSP] + (8 if info else 0)
            rip, rsp = _u64(read, place & _MASK), _u64(read, place + 24 & _MASK)
            if rip is None or rsp is None or info > 1:
                return None
            regs[_RIP], regs[_RSP] = rip, rsp
            return True
    return False


def _slots(operation: int, info: int, version: int) -> int:
    """How many 16-bit slots an unwind code takes; 0 for one that does not exist."""
    if operation == 1:
        return 2 + info if info <= 1 else 0
    if version == 2 and operation == 6:
        return 1
    return _EXTRA.get(operation, -1) + 1


def _frame_is_set(codes: Sequence[int], version: int, offset: int) -> bool:
    index = 0
    while index < len(codes):
        operation = codes[index] >> 8 & 15
        if operation == 3:
            return codes[index] & 0xFF <= offset
        size = _slots(operation, codes[index] >> 12, version)
        if not size:
            return False
        index += size
    return False


def _epilogue(
    regs: list[int], module: ModuleImage, function: Function, read: Read
) -> list[int] | None:
    """The caller's registers if rip is in an epilogue, by what its instructions do.

    An epilogue is at most one ``add rsp, n`` or ``lea rsp, [frame + n]``, then pops, then a
    return or a jump out of the function.
    """
    rva = regs[_RIP] - module.base
    code = module.image[rva : rva + 48]
    new = list(regs)
    at = 0
    frame = module.image[function.unwind + 3] & 15
    if code[:3] == b"\x48\x83\xc4" and len(code) > 3:
        new[_RSP] += int.from_bytes(code[3:4], "little", signed=True)
        at = 4
    elif code[:3] == b"\x48\x81\xc4":
        new[_RSP] += int.from_bytes(code[3:7], "little", signed=True)
        at = 7
    elif frame and len(code) > 7 and code[0] == 0x48 | frame >> 3 and code[1] == 0x8D:
        mode, rest = code[2] >> 6, code[2] & 0x3F
        # reg is rsp; r12 as a base needs a further byte.
        if mode not in (1, 2) or rest != 0x20 | frame & 7:
            return None
        at = 3 + (frame & 7 == 4)
        width = 1 if mode == 1 else 4
        new[_RSP] = new[frame] + int.from_bytes(code[at : at + width], "little", signed=True)
        at += width
    new[_RSP] &= _MASK
    while at < len(code) - 1:
        extended = code[at] == 0x41
        byte = code[at + extended]
        if byte & 0xF8 != 0x58:
            break
        if not _pop(new, (byte & 7) + 8 * extended, read):
            return None
        at += 1 + extended
    if not _leaves(module, function, code[at:], rva + at):
        return None
    return new if _pop(new, _RIP, read) else None


def _leaves(module: ModuleImage, function: Function, code: bytes, rva: int) -> bool:
    """Whether the instruction at ``rva`` returns, or jumps out of the function."""
    if code[:1] in (b"\xc3", b"\xc2") or code[:2] == b"\xf3\xc3":
        return True
    if code[:2] == b"\xff\x25":
        return True
    if len(code) > 2 and code[0] & 0xF8 == 0x48 and code[1] == 0xFF and code[2] & 0x38 == 0x20:
        return True
    if code[:1] == b"\xeb" and len(code) > 1:
        target = rva + 2 + int.from_bytes(code[1:2], "little", signed=True)
    elif code[:1] == b"\xe9" and len(code) > 4:
        target = rva + 5 + int.from_bytes(code[1:5], "little", signed=True)
    else:
        return False
    home = _primary(module, function)
    other = module.find_function(target)
    return other is None or _primary(module, other) != home or target == home.begin


def _primary(module: ModuleImage, function: Function) -> Function:
    """The function that ``function`` is chained to in the end; itself where it is not."""
    for _ in range(_CHAIN):
        header = module.image[function.unwind : function.unwind + 4]
        if len(header) < 4 or not header[0] >> 3 & 4:
            break
        place = function.unwind + 4 + (header[2] + 1 & ~1) * 2
        entry = module.image[place : place + 12]
        if len(entry) < 12:
            break
        function = Function(*struct.unpack("<III", entry))
    return function


def _u64(read: Read, address: int) -> int | None:
    raw = read(address, 8)
    return int.from_bytes(raw, "little") if raw is not None and len(raw) == 8 else None


def _pop(regs: list[int], register: int, read: Read) -> bool:
    value = _u64(read, regs[_RSP])
    if value is None:
        return False
    # "pop rsp" loads, it does not add.
    regs[_RSP] = regs[_RSP] + 8 & _MASK
    regs[register] = value
    return True
