"""The unwinder on function tables assembled here: every operation, every stop."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

import pytest

from kernellab.target.sim.machine.unwind import (
    REGISTERS,
    ModuleImage,
    RawFrame,
    find_function,
    unwind,
)

BASE = 0x1_4000_0000
STACK = 0x9000_0000
STACK_SIZE = 0x4_0000
RBX, RSP, RBP, RSI, RDI, R12, R13 = 3, 4, 5, 6, 7, 12, 13


def code(where: int, operation: int, info: int, *operands: int) -> list[int]:
    """One unwind code: the offset after its instruction, operation, info, operand slots."""
    return [info << 12 | operation << 8 | where, *operands]


@dataclass
class Module:
    """Code and function table of a module under construction."""

    image: bytearray = field(default_factory=lambda: bytearray(b"\x90" * 0x10000))
    functions: list[tuple[int, int, int]] = field(default_factory=list)
    at: int = 0x8000

    def info(
        self, codes: list[int], prologue: int, frame: int = 0, flags: int = 0, version: int = 1
    ) -> int:
        place = self.at
        raw = struct.pack("<BBBB", flags << 3 | version, prologue, len(codes), frame)
        raw += struct.pack(f"<{len(codes)}H", *codes)
        raw += b"\0\0" * (len(codes) & 1)
        self.image[place : place + len(raw)] = raw
        self.at += len(raw) + 16
        return place

    def function(self, begin: int, end: int, unwind_rva: int) -> tuple[int, int, int]:
        self.functions.append((begin, end, unwind_rva))
        return self.functions[-1]

    def build(self) -> ModuleImage:
        table = b"".join(struct.pack("<III", *f) for f in self.functions)
        self.image[0xF000 : 0xF000 + len(table)] = table
        return ModuleImage("drv", BASE, self.image, 0xF000, len(table))


class Stack:
    """Guest memory: one stack."""

    def __init__(self) -> None:
        self.raw = bytearray(STACK_SIZE)

    def put(self, address: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}Q", self.raw, address - STACK, *values)

    def read(self, address: int, size: int) -> bytes | None:
        offset = address - STACK
        if not 0 <= offset <= STACK_SIZE - size:
            return None
        return bytes(self.raw[offset : offset + size])


SP = STACK + 0x1000


def walk(
    module: ModuleImage, stack: Stack, rva: int, rsp: int = SP, **registers: int
) -> list[RawFrame]:
    context = dict.fromkeys(REGISTERS, 0) | registers | {"rip": BASE + rva, "rsp": rsp}
    return unwind(context, [module], stack.read, stack=(STACK, STACK + STACK_SIZE))


def rvas(frames: list[RawFrame]) -> list[int]:
    return [frame.rva for frame in frames]


def caller(module: Module) -> None:
    """A function at 0x4000 with ``sub rsp, 0x28``."""
    module.function(0x4000, 0x5000, module.info(code(4, 2, 4), 4))


def finish(stack: Stack, rsp: int) -> None:
    """The frame of :func:`caller` at ``rsp``, which returns to outside of the module."""
    stack.put(rsp + 0x28, 0xDEAD)


def check_to_caller(module: Module, rva: int, size: int, **registers: int) -> None:
    """At ``rva`` the frame takes ``size`` bytes below its return address."""
    caller(module)
    stack = Stack()
    stack.put(SP + size, BASE + 0x4010)
    finish(stack, SP + size + 8)
    frames = walk(module.build(), stack, rva, **registers)
    assert rvas(frames) == [rva, 0x4010]
    assert [f.stack for f in frames] == [SP, SP + size + 8]
    assert [f.is_return for f in frames] == [False, True]
    assert [f.symbol_rva for f in frames] == [rva, 0x400F]


def test_leaf_functions_return_by_the_top_of_the_stack() -> None:
    check_to_caller(Module(), 0x100, 0)


def test_small_and_large_allocations() -> None:
    module = Module()
    codes = code(20, 1, 0, 0x200 // 8) + code(12, 1, 1, 0x2000, 1) + code(4, 2, 15)
    module.function(0x1000, 0x2000, module.info(codes, 20))
    check_to_caller(module, 0x1100, 0x200 + 0x12000 + 0x80)


@pytest.mark.parametrize(("offset", "size"), [(0, 0), (1, 8), (2, 8), (3, 16), (7, 0x30)])
def test_a_prologue_undoes_only_what_has_run(offset: int, size: int) -> None:
    module = Module()
    # push rbx; push r12; sub rsp, 0x20
    codes = code(7, 2, 3) + code(3, 0, R12) + code(1, 0, RBX)
    module.function(0x1000, 0x2000, module.info(codes, 7))
    check_to_caller(module, 0x1000 + offset, size)


def test_saved_registers_come_back_for_frames_that_need_them() -> None:
    module = Module()
    # 0x1000 saves rbp by a move; 0x2000 needs it: it has alloca'd 0x3000 bytes.
    codes = code(12, 4, RBP, 0x8) + code(4, 1, 0, 0x100 // 8)
    module.function(0x1000, 0x2000, module.info(codes, 12))
    # push rbp; sub rsp, 0x50; lea rbp, [rsp+0x30]
    framed = module.info(code(9, 3, 0) + code(5, 2, 9) + code(1, 0, RBP), 9, frame=3 << 4 | RBP)
    module.function(0x2000, 0x3000, framed)
    caller(module)
    stack = Stack()
    stack.put(SP + 0x100, BASE + 0x2100)
    fixed = SP + 0x108 + 0x3000
    stack.put(SP + 0x40, fixed + 0x30)
    stack.put(fixed + 0x50, 0x1234, BASE + 0x4020)
    finish(stack, fixed + 0x60)
    frames = walk(module.build(), stack, 0x1100, rbp=0xBAD)
    assert rvas(frames) == [0x1100, 0x2100, 0x4020]
    assert frames[2].stack == fixed + 0x60


def test_far_saves_and_xmm_saves_take_their_slots() -> None:
    module = Module()
    codes = (
        code(30, 9, 7, 0x8000, 0)
        + code(24, 8, 6, 2)
        + code(18, 5, RBP, 0x1_0008 & 0xFFFF, 1)
        + code(8, 1, 1, 0x2_0000 & 0xFFFF, 2)
    )
    module.function(0x1000, 0x2000, module.info(codes, 30))
    framed = module.info(code(5, 3, 0) + code(1, 0, RBP), 5, frame=RBP)
    module.function(0x2000, 0x3000, framed)
    caller(module)
    stack = Stack()
    stack.put(SP + 0x2_0000, BASE + 0x2100)
    stack.put(SP + 0x1_0008, SP + 0x2_4000)
    stack.put(SP + 0x2_4000, 0, BASE + 0x4020)
    finish(stack, SP + 0x2_4010)
    assert rvas(walk(module.build(), stack, 0x1100)) == [0x1100, 0x2100, 0x4020]


def test_a_frame_pointer_counts_only_once_it_is_set() -> None:
    # push rbp (1); sub rsp, 0x20 (5); lea rbp, [rsp+0x20] (10)
    codes = code(10, 3, 0) + code(5, 2, 3) + code(1, 0, RBP)
    for offset, size, rbp in ((5, 0x28, 0xBAD), (10, 0x128, SP + 0x100 + 0x20)):
        module = Module()
        module.function(0x1000, 0x2000, module.info(codes, 10, frame=2 << 4 | RBP))
        check_to_caller(module, 0x1000 + offset, size, rbp=rbp)


def test_chained_data_undoes_the_parent_as_well() -> None:
    module = Module()
    parent = module.function(0x1000, 0x1800, module.info(code(5, 2, 3) + code(1, 0, RBX), 5))
    codes = code(4, 4, RSI, 1) + code(0, 2, 0)
    place = module.info(codes, 4, flags=4)
    tail = place + 4 + (len(codes) + 1 & ~1) * 2
    module.image[tail : tail + 12] = struct.pack("<III", *parent)
    module.function(0x1800, 0x2000, place)
    check_to_caller(module, 0x1900, 8 + 0x20 + 8)


def test_entries_may_refer_to_other_entries() -> None:
    module = Module()
    info = module.info(code(4, 2, 4), 4)
    module.image[0xE000:0xE00C] = struct.pack("<III", 0x1000, 0x1800, info)
    module.function(0x1800, 0x2000, 0xE000 | 1)
    check_to_caller(module, 0x1900, 0x28)


@pytest.mark.parametrize("with_error_code", [False, True])
def test_machine_frames_restore_the_interrupted_stack(with_error_code: bool) -> None:
    module = Module()
    codes = code(4, 2, 4) + code(0, 10, int(with_error_code))
    module.function(0x1000, 0x2000, module.info(codes, 4))
    caller(module)
    stack = Stack()
    # The interrupted code ran on a lower stack: a machine frame may go either way.
    other = STACK + 0x100
    place = SP + 0x28 + 8 * with_error_code
    stack.put(place, BASE + 0x4030, 0x10, 0x246, other)
    finish(stack, other)
    frames = walk(module.build(), stack, 0x1100)
    assert rvas(frames) == [0x1100, 0x4030]
    assert not frames[1].is_return and frames[1].symbol_rva == 0x4030


EPILOGUES = [
    (b"\x48\x83\xc4\x40\x5b\x41\x5c\xc3", 0, 0x40 + 16),
    (b"\x48\x83\xc4\x40\x5b\x41\x5c\xc3", 4, 16),
    (b"\x48\x83\xc4\x40\x5b\x41\x5c\xc3", 5, 8),
    (b"\x48\x83\xc4\x40\x5b\x41\x5c\xc3", 7, 0),
    (b"\x48\x81\xc4\x00\x10\x00\x00\x5b\x41\x5c\xc3", 0, 0x1010),
    (b"\x5b\x41\x5c\xf3\xc3", 0, 16),
    (b"\x5b\x41\x5c\xc2\x00\x00", 0, 16),
    (b"\x5b\x41\x5c\xe9\x00\x40\x00\x00", 0, 16),  # a tail call out of the function
    (b"\x5b\x41\x5c\xff\x25\x00\x00\x00\x00", 0, 16),
    (b"\x5b\x41\x5c\x48\xff\xe0", 0, 16),
    (b"\x5b\x41\x5c\xeb\x7f", 0, None),  # a jump within the function is its body
    (b"\x5b\x41\x5c\x90", 0, None),
    (b"\x48\x8b\xe5\xc3", 0, None),
]


@pytest.mark.parametrize(("text", "offset", "size"), EPILOGUES)
def test_epilogues_are_carried_to_their_end(text: bytes, offset: int, size: int | None) -> None:
    module = Module()
    codes = code(7, 2, 7) + code(3, 0, R12) + code(1, 0, RBX)
    module.function(0x1000, 0x2000, module.info(codes, 7))
    module.image[0x1100 : 0x1100 + len(text)] = text
    check_to_caller(module, 0x1100 + offset, 0x40 + 16 if size is None else size)


@pytest.mark.parametrize(
    ("register", "text"),
    [
        (RBP, b"\x48\x8d\x65\x10\x5d\xc3"),
        (RBP, b"\x48\x8d\xa5\x10\x00\x00\x00\x5d\xc3"),
        (R13, b"\x49\x8d\x65\x10\x41\x5d\xc3"),
        (R12, b"\x49\x8d\x64\x24\x10\x41\x5c\xc3"),
    ],
)
def test_epilogues_from_a_frame_pointer(register: int, text: bytes) -> None:
    module = Module()
    codes = code(5, 3, 0) + code(1, 0, register)
    module.function(0x1000, 0x2000, module.info(codes, 5, frame=register))
    module.image[0x1100 : 0x1100 + len(text)] = text
    values = {REGISTERS[register]: SP + 0x500 - 0x10}
    check_to_caller(module, 0x1100, 0x508, **values)


def test_a_jump_to_another_part_of_the_same_function_is_no_epilogue() -> None:
    module = Module()
    parent = module.function(0x1000, 0x1800, module.info(code(4, 2, 4), 4))
    place = module.info([], 0, flags=4)
    module.image[place + 4 : place + 16] = struct.pack("<III", *parent)
    module.function(0x1800, 0x2000, place)
    module.image[0x1100:0x1105] = b"\xe9" + struct.pack("<i", 0x1900 - 0x1105)
    check_to_caller(module, 0x1100, 0x28)


def test_version_2_epilogue_codes_are_skipped() -> None:
    module = Module()
    codes = code(5, 6, 1) + code(0, 6, 0) + code(4, 2, 4)
    module.function(0x1000, 0x2000, module.info(codes, 4, version=2))
    check_to_caller(module, 0x1100, 0x28)


def test_a_call_to_nowhere_still_shows_who_called() -> None:
    module = Module()
    caller(module)
    stack = Stack()
    stack.put(SP, BASE + 0x4010)
    finish(stack, SP + 8)
    context = dict.fromkeys(REGISTERS, 0) | {"rip": 0, "rsp": SP}
    frames = unwind(context, [module.build()], stack.read)
    assert [(f.module, f.rva) for f in frames] == [("", 0), ("drv", 0x4010)]


def test_beyond_carries_the_walk_over_code_without_tables() -> None:
    module = Module()
    caller(module)
    built = module.build()
    stack = Stack()
    finish(stack, SP)
    finish(stack, SP + 0x200)
    seen: list[dict[str, int]] = []

    def beyond(registers: dict[str, int]) -> dict[str, int] | None:
        seen.append(registers)
        if len(seen) > 1:
            return None
        return registers | {"rip": BASE + 0x4040, "rsp": SP + 0x200}

    context = dict.fromkeys(REGISTERS, 0) | {"rip": BASE + 0x4010, "rsp": SP}
    frames = unwind(context, [built], stack.read, beyond=beyond)
    assert rvas(frames) == [0x4010, 0x4040]
    assert [r["rip"] for r in seen] == [0xDEAD, 0xDEAD]
    assert seen[0]["rsp"] == SP + 0x30


def test_recursion_without_end_is_cut_at_the_limit() -> None:
    module = Module()
    caller(module)
    stack = Stack()
    for index in range(1000):
        stack.put(SP + index * 0x30 + 0x28, BASE + 0x4010)
    assert len(walk(module.build(), stack, 0x4010)) == 64
    context = dict.fromkeys(REGISTERS, 0) | {"rip": BASE + 0x4010, "rsp": SP}
    assert len(unwind(context, [module.build()], stack.read, limit=5)) == 5


def test_unreadable_misaligned_or_foreign_stacks_end_the_walk() -> None:
    module = Module()
    caller(module)
    built = module.build()
    stack = Stack()
    for rsp in (0, 0x123456, SP + 4, STACK - 8, (1 << 64) - 8, STACK + STACK_SIZE):
        assert rvas(walk(built, stack, 0x4010, rsp=rsp)) == [0x4010]


def test_a_frame_that_shrinks_the_stack_ends_the_walk() -> None:
    module = Module()
    codes = code(5, 3, 0) + code(1, 0, RBP)
    module.function(0x1000, 0x2000, module.info(codes, 5, frame=RBP))
    stack = Stack()
    stack.put(SP - 0x100, SP - 0x100, BASE + 0x1100)
    assert rvas(walk(module.build(), stack, 0x1100, rbp=SP - 0x100)) == [0x1100]


@pytest.mark.parametrize(
    "codes", [code(1, 11, 0), code(1, 1, 2, 0, 0), code(1, 1, 1, 0), [0x0401], code(1, 10, 5)]
)
def test_unwind_codes_that_do_not_exist_end_the_walk(codes: list[int]) -> None:
    module = Module()
    module.function(0x1000, 0x2000, module.info(codes, 1))
    assert rvas(walk(module.build(), Stack(), 0x1100)) == [0x1100]


@pytest.mark.parametrize("unwind_rva", [0xFFFE, 0x7FFFFFFC, 0xFFFF])
def test_unwind_data_outside_of_the_image_ends_the_walk(unwind_rva: int) -> None:
    module = Module()
    module.function(0x1000, 0x2000, unwind_rva)
    frames = walk(module.build(), Stack(), 0x1100)
    assert rvas(frames) == [0x1100]


def test_chains_that_bite_their_tail_end() -> None:
    module = Module()
    place = module.info([], 0, flags=4)
    module.image[place + 4 : place + 16] = struct.pack("<III", 0x1000, 0x2000, place)
    module.image[0xE000:0xE00C] = struct.pack("<III", 0x2000, 0x3000, 0xE001)
    module.function(0x1000, 0x2000, place)
    module.function(0x2000, 0x3000, 0xE001)
    built = module.build()
    assert rvas(walk(built, Stack(), 0x1100)) == [0x1100]
    assert find_function(built, 0x2100) is None


def test_find_function_between_and_beyond_the_entries() -> None:
    module = Module()
    info = module.info([], 0)
    for begin in (0x3000, 0x1000):  # an unsorted table
        module.function(begin, begin + 0x100, info)
    module.function(0, 0, 0)
    built = module.build()
    assert [bool(find_function(built, rva)) for rva in (0, 0xFFF, 0x1000, 0x10FF, 0x1100)] == [
        False,
        False,
        True,
        True,
        False,
    ]
    found = find_function(built, 0x3050)
    assert found is not None and (found.begin, found.end) == (0x3000, 0x3100)


def test_random_tables_and_stacks_never_raise_and_always_end() -> None:
    chance = random.Random(7)
    for _ in range(400):
        module = Module()
        module.image[0x8000:0x9000] = chance.randbytes(0x1000)
        for begin in range(0, 0x8000, 0x400):
            module.function(begin, begin + 0x400, 0x8000 + chance.randrange(0x1000))
            raw = chance.choice(EPILOGUES)[0]
            module.image[begin + 0x40 : begin + 0x40 + len(raw)] = raw
        built = module.build()
        stack = Stack()
        for index in range(0, 0x800, 8):
            choice = chance.random()
            value = BASE + chance.randrange(0x8000) if choice < 0.7 else chance.getrandbits(64)
            stack.put(SP + index, SP + chance.randrange(0x800) & ~7 if choice < 0.2 else value)
        registers = {name: SP + chance.randrange(0x800) & ~7 for name in REGISTERS}
        del registers["rsp"]
        frames = walk(built, stack, chance.randrange(0x20) * 0x400 + 0x40, **registers)
        assert 1 <= len(frames) <= 64
